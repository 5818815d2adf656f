import "@rlxjs/backend-cpu";
import { type DeviceInfo, registeredDevices, Session } from "@rlxjs/runtime";

/** `rlxjs devices`: what can be opened here. */
export async function devices({ json }: { readonly json?: boolean }): Promise<void> {
  const found: DeviceInfo[] = [];
  for (const device of registeredDevices()) {
    using session = await Session.open({ device });
    found.push(session.info);
  }
  if (json) process.stdout.write(`${JSON.stringify(found)}\n`);
  else for (const { device, description } of found) process.stdout.write(`${device}  ${description}\n`);
}
