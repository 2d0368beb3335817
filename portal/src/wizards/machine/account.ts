// What Azure asks of a machine's name, user name, password and key, said before it is sent. Follows Microsoft.Compute's OSProfile
// and the portal's own stricter rule for passwords (12 to 72 characters). The API has the last word.

const RESERVED = new Set(
  (
    "administrator admin user user1 test user2 test1 user3 admin1 1 123 a actuser adm admin2 aspnet backup console guest owner root server sql " +
    "support support_388945a0 sys test2 test3 user4 user5"
  ).split(" "),
);

/** As the API's, whose rule also refuses capitals. */
const USER = /^[^\\/"[\]:|<>+=;,?*@#()!A-Z$\s-][^\\/"[\]:|<>+=;,?*@#()!A-Z\s]{0,63}$/;

export function userError(user: string): string | undefined {
  if (user === "") return "The value must not be empty.";
  if (RESERVED.has(user.toLowerCase())) return "The specified username is not allowed: it is a reserved name.";
  if (user.length > 64) return "The username has 64 characters at most.";
  if (!USER.test(user) || user.endsWith(".")) return "The username must begin with a lowercase letter, digit or underscore, contain no capitals or special characters, and not end in a period.";
  return undefined;
}

export function passwordError(password: string): string | undefined {
  if (password === "") return "The value must not be empty.";
  if (password.length < 12 || password.length > 72) return "The value must be between 12 and 72 characters long.";
  if (/[\p{Cc}]/u.test(password)) return "Control characters are not allowed.";
  const kinds = [/[a-z]/, /[A-Z]/, /[0-9]/, /[^a-zA-Z0-9]/].filter((kind) => kind.test(password)).length;
  return kinds < 3 ? "Password must have 3 of the following: 1 lower case character, 1 upper case character, 1 number, and 1 special character." : undefined;
}

export function confirmError(password: string, confirmed: string): string | undefined {
  if (confirmed === "") return "The value must not be empty.";
  return password === confirmed ? undefined : "Password and confirm password must match.";
}

export function keyError(key: string): string | undefined {
  const text = key.trim();
  if (text === "") return "The value must not be empty.";
  if (/PRIVATE KEY/.test(text)) return "This is a private key. Paste the public one, and keep this to yourself.";
  return /^(ssh-rsa|ssh-ed25519) [A-Za-z0-9+/]+={0,3}( [^\r\n]*)?$/.test(text) ? undefined : "Paste a public key on one line: ssh-rsa or ssh-ed25519, its text, and a comment.";
}
