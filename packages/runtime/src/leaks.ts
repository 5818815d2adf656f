/** What was collected without being disposed: a name for people. */
export type LeakHandler = (what: string) => void;

let handler: LeakHandler = (what) => console.warn(`rlxjs: ${what} was never disposed: use \`using\` or call its [Symbol.dispose]()`);

/** Set who hears of leaked objects (default: console.warn). Returns the handler that was set before. */
export function onLeak(next: LeakHandler): LeakHandler {
  const previous = handler;
  handler = next;
  return previous;
}

interface Tracked {
  readonly what: string;
  readonly release: () => void;
}
const registry = new FinalizationRegistry<Tracked>(({ what, release }) => {
  handler(what);
  release();
});

/** Report `object` if it is collected before `untrack`, and release what it held. `release` must not refer to the object. */
export const trackLeak = (object: object, what: string, release: () => void): void => registry.register(object, { what, release }, object);
export const untrackLeak = (object: object): boolean => registry.unregister(object);
