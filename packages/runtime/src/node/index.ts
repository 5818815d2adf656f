export { type MappingAddon, mapFile, type NativeFile } from "./mapped-file.ts";
export { type AddonPlace, type LoadedAddon, NativeAddon, platformPackage } from "./native-addon.ts";
