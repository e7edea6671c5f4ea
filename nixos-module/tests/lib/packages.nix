# Packages, files and licences.
lib:
let
  inherit (builtins)
    any
    concatStringsSep
    isAttrs
    map
    parseDrvName
    toString
    ;
in
{
  isDerivation = x: (x.type or null) == "derivation";
  getName =
    package:
    if isAttrs package then
      package.pname or (parseDrvName package.name).name
    else
      (parseDrvName package).name;
  getBin = package: package.bin or package;
  getExe =
    package: "${package}/bin/${package.meta.mainProgram or package.pname or package.name}";
  getExe' = package: program: "${package}/bin/${program}";
  makeSearchPath =
    folder: packages:
    concatStringsSep ":" (map (package: "${package}/${folder}") packages);
  makeBinPath = lib.makeSearchPath "bin";

  importTOML = file: fromTOML (builtins.readFile file);
  licenses = {
    asl20 = "asl20";
    mit = "mit";
  };
  fileset = {
    unions = parts: parts;
    toSource =
      { root, fileset }:
      let
        isBelow = folder: path: lib.hasPrefix (folder + "/") path;
        keeps =
          path: type: part:
          toString part == path
          || isBelow (toString part) path
          || (type == "directory" && isBelow path (toString part));
      in
      builtins.path {
        path = root;
        name = "source";
        filter = path: type: any (keeps path type) fileset;
      };
  };
}
