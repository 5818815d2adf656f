import "../backends.ts";
import { type Device, type DeviceInfo, DeviceUnavailableError, registeredDevices, Session } from "@rlxjs/runtime";

interface Unavailable {
  readonly device: Device;
  /** Why, and how to get it. */
  readonly unavailable: string;
}

/** `rlxjs devices`: what can be opened here, and what stands in the way of the others. */
export async function devices({ json }: { readonly json?: boolean }): Promise<void> {
  const found: (DeviceInfo | Unavailable)[] = [];
  for (const device of registeredDevices()) found.push(await describe(device));
  if (json) process.stdout.write(`${JSON.stringify(found)}\n`);
  else for (const info of found) process.stdout.write(`${info.device}  ${textOf(info)}\n`);
}

async function describe(device: Device): Promise<DeviceInfo | Unavailable> {
  try {
    using session = await Session.open({ device });
    return session.info;
  } catch (error) {
    if (!(error instanceof DeviceUnavailableError)) throw error;
    return { device, unavailable: error.reason };
  }
}

const textOf = (info: DeviceInfo | Unavailable): string =>
  "unavailable" in info ? `not available: ${info.unavailable}` : info.description;
