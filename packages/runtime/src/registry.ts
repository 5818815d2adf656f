import type { Backend, BackendFactory, BackendOptions, Device } from "./backend.ts";
import { DeviceUnavailableError } from "./errors.ts";

const factories = new Map<Device, BackendFactory>();

/** Make a device known; registering it again replaces the backend for sessions opened from then on. */
export function registerBackend(device: Device, factory: BackendFactory): void {
  factories.set(device, factory);
}

/** Devices that have a backend, in the order of their registration. */
export const registeredDevices = (): readonly Device[] => [...factories.keys()];

/** Open a device. Nothing falls back: a device that is not there is an error that says what is. */
export async function openBackend(device: Device, options: BackendOptions): Promise<Backend> {
  const factory = factories.get(device);
  if (!factory) throw new DeviceUnavailableError(device, factories.keys());
  return factory(options);
}
