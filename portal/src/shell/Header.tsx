// The bar on top: navigation, search, notifications, theme, user.

import { Avatar, Button, Menu, MenuItem, MenuList, MenuPopover, MenuTrigger, Tooltip, CounterBadge } from "@fluentui/react-components";
import { Alert20Regular, Navigation20Regular, SignOut20Regular, WeatherMoon20Regular, WeatherSunny20Regular } from "@fluentui/react-icons";
import type { ReactNode } from "react";

import { useNotifications } from "./notifications";
import { Search } from "./Search";
import { signOut, useSession } from "./session";
import { follow, Name } from "./text";
import { chooseTheme, useDark } from "./theme";

export function Header({ onNavigation, onNotifications }: { onNavigation: () => void; onNotifications: () => void }): ReactNode {
  const user = useSession();
  const dark = useDark();
  const notifications = useNotifications();
  const running = notifications.filter((one) => one.state === "running").length;
  const theme = dark ? "Use the light theme" : "Use the dark theme";
  return (
    <header className="top" role="banner">
      <Tooltip content="Show portal menu" relationship="label">
        <Button appearance="transparent" icon={<Navigation20Regular />} onClick={onNavigation} />
      </Tooltip>
      <a className="brand" href="/" onClick={(event) => follow(event, "/")}>
        Azlan
      </a>
      <Search />
      <div className="top-right">
        <Tooltip content={running > 0 ? `Notifications, ${running} under way` : "Notifications"} relationship="label">
          <Button appearance="transparent" className="bell" onClick={onNotifications} icon={<Alert20Regular />}>
            {notifications.length > 0 && (
              <CounterBadge className={running > 0 ? "bell-count bell-busy" : "bell-count"} size="small" color="danger" count={notifications.length} />
            )}
          </Button>
        </Tooltip>
        <Tooltip content={theme} relationship="label">
          <Button appearance="transparent" icon={dark ? <WeatherSunny20Regular /> : <WeatherMoon20Regular />} onClick={() => chooseTheme(dark ? "light" : "dark")} />
        </Tooltip>
        <Menu>
          <MenuTrigger disableButtonEnhancement>
            <Button appearance="transparent" className="user">
              <span className="hidden">Account of </span>
              <span className="user-name">
                <Name>{user.name}</Name>
              </span>
              <Avatar className="user-mark" size={28} aria-hidden />
            </Button>
          </MenuTrigger>
          <MenuPopover>
            <MenuList>
              <MenuItem icon={<SignOut20Regular />} onClick={() => void signOut()}>
                Sign out
              </MenuItem>
            </MenuList>
          </MenuPopover>
        </Menu>
      </div>
    </header>
  );
}
