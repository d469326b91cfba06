/**
 * What is known of an object for as long as that lives (a request, its session), kept in the object itself where no app comes
 * across it: copies, JSON and logs leave it out. A `WeakMap` says the same, but V8's minor collections keep each value of one
 * that is old, whether its key lives or not. With a few kilobytes a request those promoted garbage were dearer than all else
 * that a load does in this process.
 */
export class Attached<V extends object> {
  readonly #key = Symbol('session-bouncer');
  /** Of objects that take nothing on: an app may freeze what it gives us. */
  readonly #frozen = new WeakMap<object, V>();

  get(object: object | null | undefined): V | undefined {
    if (!object) return undefined;
    return (object as Readonly<Record<symbol, V | undefined>>)[this.#key] ?? this.#frozen.get(object);
  }

  set(object: object, value: V): void {
    const isTaken = Reflect.defineProperty(object, this.#key, { configurable: true, writable: true, value });
    if (!isTaken) this.#frozen.set(object, value);
  }
}
