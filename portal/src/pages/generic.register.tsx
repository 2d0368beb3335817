// The entries of every resource's menu.

import { Braces20Regular, Info20Regular, Tag20Regular } from "@fluentui/react-icons";
import { lazy } from "react";

import { SUBSCRIPTION_TYPE } from "../arm/ids";
import { typeOf } from "../arm/types";
import { register, type ResourceProps } from "./registry";
import { Empty } from "../shell/Blade";

const TagEditor = lazy(() => import("./Tags"));

register.menu(
  { type: "*", key: "overview", title: "Overview", icon: Info20Regular, order: 0, component: lazy(() => import("./Overview")) },
  {
    type: "*",
    key: "tags",
    title: "Tags",
    icon: Tag20Regular,
    order: 20,
    except: [SUBSCRIPTION_TYPE],
    component: (props: ResourceProps) => (typeOf(props.id.type)?.tags ? <TagEditor {...props} /> : <Empty title="Resources of this type carry no tags" />),
  },
  { type: "*", key: "json", title: "JSON view", group: "Automation", icon: Braces20Regular, order: 90, component: lazy(() => import("./JsonView")) },
);
