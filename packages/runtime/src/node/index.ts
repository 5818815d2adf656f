export { type AddonPlace, type LoadedAddon, NativeAddon, platformPackage } from "./native-addon.ts";
