/**
 * Lets work through while what is under way weighs no more than `capacity`; the rest waits in its order. Work that is
 * heavier than the capacity goes alone.
 */
export class WeightedGate {
  readonly #capacity: number;
  #inHand = 0;
  readonly #waiting: { readonly weight: number; go(): void }[] = [];

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  async run<T>(weight: number, work: () => Promise<T>): Promise<T> {
    if (this.#waiting.length > 0 || !this.#fits(weight)) {
      await new Promise<void>((go) => this.#waiting.push({ weight, go }));
    } else this.#inHand += weight;
    try {
      return await work();
    } finally {
      this.#inHand -= weight;
      this.#admit();
    }
  }

  #fits(weight: number): boolean {
    return this.#inHand === 0 || this.#inHand + weight <= this.#capacity;
  }

  #admit(): void {
    for (let next = this.#waiting[0]; next !== undefined && this.#fits(next.weight); next = this.#waiting[0]) {
      this.#inHand += next.weight;
      this.#waiting.shift();
      next.go();
    }
  }
}
