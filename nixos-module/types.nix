# Types of options whose values have a grammar.
{ lib }:
let
  inherit (lib) types;
  described =
    description: type:
    type
    // {
      inherit description;
      descriptionClass = "noun";
    };
  line = described "text of one line" types.singleLineStr;
  fileMode = described "file mode in octal" (
    types.strMatching "0?[0-7]{3}"
  );
  publicKey = described "public key of SSH or age" (
    types.strMatching "((ssh-|ecdsa-|sk-)[^ \n]+ +AAAA[^\n]*|age1[^ \n]+( [^\n]*)?)\n?"
  );
in
{
  inherit fileMode publicKey;

  publicKeys = types.attrsOf (types.either publicKey (types.listOf publicKey));

  # A file of the machine itself. A path of Nix would be copied to the store, where everybody
  # can read it, so only text is taken.
  externalPath =
    types.externalPath
      or (described "absolute path, as text, not in the Nix store" (
        types.addCheck types.str (
          path:
          builtins.substring 0 1 path == "/"
          && !lib.hasPrefix "${builtins.storeDir}/" (builtins.unsafeDiscardStringContext path)
        )
      ));

  # Owners and groups: what the system calls them, or their numbers.
  account = types.either (described "number of a user or a group" types.ints.unsigned) (
    described "name of it" (types.strMatching "[a-zA-Z_][a-zA-Z0-9_.-]*[$]?")
  );

  unit = described "name of a systemd unit" (types.strMatching "[a-zA-Z0-9:_.\\@-]+");

  absolutePath = described "absolute path" (types.strMatching "/[^\n]*");

  # Below the home folder's runtime folder, whose place is known only where it runs.
  runtimePath = described "absolute path, or one that begins with `%r`" (
    types.strMatching "(%r)?/[^\n]*"
  );

  # Names of files are checked together, by assertions, which can say more than a type.
  name = line;

  # A text is cut at `/`; a list is taken as it is, for keys that have a `/` in them.
  keyPath = types.nullOr (types.either line (types.listOf line));

  format = types.enum [
    "auto"
    "age"
    "armored"
    "yaml"
    "json"
    "dotenv"
    "ini"
    "binary"
  ];
}
