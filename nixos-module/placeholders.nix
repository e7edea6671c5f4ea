# What stands for the values of secrets in templates: `<secretctl:NAME>`, and `<secretctl:NAME|FILTER>`
# where the value is to be written as a syntax wants it. By the names of the options.
{ lib, cfg }:
let
  filters = [
    "json"
    "shell"
    "systemd-env"
    "url"
    "trim"
    "base64"
  ];
  secrets = builtins.attrValues cfg.secrets;
  # `NAME` is looked for in the store `secrets`, and elsewhere only if no two have it.
  isClear =
    secret:
    let
      namesakes = builtins.filter (other: other.name == secret.name) secrets;
    in
    secret.store == "secrets" || builtins.length namesakes == 1;
  of =
    secret:
    let
      text =
        filter:
        if isClear secret then
          "<secretctl:${secret.name}${filter}>"
        else
          throw (
            "secretctl: there are several secrets `${secret.name}`, so that a placeholder cannot tell "
            + "which is meant: give `${secret.declaredAs}` another `name`"
          );
    in
    lib.genAttrs filters (filter: text "|${filter}") // { __toString = _: text ""; };
in
builtins.mapAttrs (_: of) cfg.secrets
