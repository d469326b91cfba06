/**
 * PHP's serialize() format, read and written back byte for byte: only as much of it is understood as it takes to set one
 * variable of a session to NULL, as PHP itself would. No object is ever made of it; class names are text.
 *
 * What makes it more than cutting bytes out: `R:n;` and `r:n;` name an earlier value by its number, and every value before
 * it counts. So values are kept as a tree with identities, and numbered anew when they are written (ext/standard/var.c,
 * php_add_var_hash): each value takes a number, except an `R:`, which names the very same variable again; an `r:` names the
 * same object from another variable, and takes a number of its own.
 */

/** A variable. Two places that PHP calls references of each other hold the same one. */
export interface Cell {
  node: Node;
  /**
   * Named by an `R:` somewhere. It stays so where all others that shared it are gone: PHP nearly always writes `R:` for it
   * then, too, and where it writes `r:` instead (some objects' own variables) it reads equal values from both.
   */
  isReference: boolean;
}

type Node =
  /** Written as it was read: null, bool, int, float, string. */
  | { readonly kind: 'scalar'; readonly bytes: string }
  /** An object too (so `r:` may name it), but without variables inside: an enum case. */
  | { readonly kind: 'opaque'; readonly bytes: string }
  | { readonly kind: 'array' | 'object'; readonly head: string; readonly entries: readonly Entry[] };

interface Entry {
  readonly key: string;
  readonly value: Cell;
}

/** As deep as PHP itself reads (unserialize_max_depth). */
const MAX_DEPTH = 4096;

/** Of one text. Each costs some hundred bytes of memory while it is held. */
export const MAX_VALUES = 100_000;

export const NULL_NODE: Node = { kind: 'scalar', bytes: 'N;' };

/** The input is not what PHP writes, or is more than we read. `at`: the byte where it went wrong. */
export class SerializedError extends Error {
  readonly at: number;

  constructor(what: string, at: number) {
    super(`${what} at byte ${at}`);
    this.at = at;
  }
}

/** Reads values one after the other from a text of one character a byte (latin1); they share one numbering. */
export class Reader {
  readonly #text: string;
  readonly #slots: Cell[] = [];
  #at = 0;
  #values = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get at(): number {
    return this.#at;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  /** Up to (and over) the next `end`. */
  until(end: string): string {
    const found = this.#text.indexOf(end, this.#at);
    if (found < 0) throw new SerializedError(`no ${end}`, this.#at);
    const text = this.#text.slice(this.#at, found);
    this.#at = found + end.length;
    return text;
  }

  value(depth = 0): Cell {
    if (depth > MAX_DEPTH) throw new SerializedError('too deep', this.#at);
    this.#values += 1;
    if (this.#values > MAX_VALUES) throw new SerializedError('too many values', this.#at);
    const from = this.#at;
    const type = this.#text[from];
    switch (type) {
      case 'R':
        return this.#reference();
      case 'r':
        return this.#sameObject();
      case 'a':
      case 'O':
        return this.#container(type, depth);
      case 'E':
        this.#skipString();
        this.#expect(';');
        return this.#slot({ kind: 'opaque', bytes: this.#text.slice(from, this.#at) });
      default:
        return this.#slot({ kind: 'scalar', bytes: this.#scalar() });
    }
  }

  #slot(node: Node): Cell {
    const cell: Cell = { node, isReference: false };
    this.#slots.push(cell);
    return cell;
  }

  #named(): Cell {
    this.#at += 1;
    this.#expect(':');
    const number = this.#number(';');
    const cell = this.#slots[number - 1];
    if (cell === undefined) throw new SerializedError('a reference to nothing', this.#at);
    return cell;
  }

  #reference(): Cell {
    const cell = this.#named();
    cell.isReference = true;
    return cell;
  }

  #sameObject(): Cell {
    const { node } = this.#named();
    // PHP writes `r:` for objects only; an array that holds itself would have no end.
    if (node.kind !== 'object' && node.kind !== 'opaque') throw new SerializedError('r: names no object', this.#at);
    return this.#slot(node);
  }

  /** `a:<entries>:{...}` or `O:<length>:"<class>":<entries>:{...}`. It takes its number before those within. */
  #container(type: 'a' | 'O', depth: number): Cell {
    const from = this.#at;
    if (type === 'O') this.#skipString();
    else this.#at += 1;
    this.#expect(':');
    const head = this.#text.slice(from, this.#at);
    const count = this.#number(':');
    this.#expect('{');
    const entries: Entry[] = [];
    const cell = this.#slot({ kind: type === 'a' ? 'array' : 'object', head, entries });
    for (let i = 0; i < count; i++) entries.push({ key: this.#key(), value: this.value(depth + 1) });
    this.#expect('}');
    return cell;
  }

  #key(): string {
    const type = this.#text[this.#at];
    if (type !== 'i' && type !== 's') throw new SerializedError('a key that is no key', this.#at);
    return this.#scalar();
  }

  #scalar(): string {
    const from = this.#at;
    if (this.#text[from] === 's') {
      this.#skipString();
      this.#expect(';');
    } else {
      SCALAR.lastIndex = from;
      const found = SCALAR.exec(this.#text);
      // `C:` (a class's own format, which may hold numbered values) and `S:` are among what is not read.
      if (found === null) throw new SerializedError('a value that is not read', from);
      this.#at = SCALAR.lastIndex;
    }
    return this.#text.slice(from, this.#at);
  }

  /** `<letter>:<length>:"<bytes>"`. */
  #skipString(): void {
    this.#at += 1;
    this.#expect(':');
    const length = this.#number(':');
    this.#expect('"');
    if (length > this.#text.length - this.#at) throw new SerializedError('a length that lies', this.#at);
    this.#at += length;
    this.#expect('"');
  }

  /** A whole number up to `end`, and over it. */
  #number(end: ':' | ';'): number {
    WHOLE.lastIndex = this.#at;
    const found = WHOLE.exec(this.#text);
    if (found === null) throw new SerializedError('no number', this.#at);
    this.#at = WHOLE.lastIndex;
    this.#expect(end);
    return Number(found[0]);
  }

  #expect(letter: string): void {
    if (this.#text[this.#at] !== letter) throw new SerializedError(`no ${letter}`, this.#at);
    this.#at += 1;
  }
}

const SCALAR = /N;|b:[01];|i:[+-]?\d{1,20};|d:(?:[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,5})?|-?INF|NAN);/y;
const WHOLE = /\d{1,10}/y;

/** Writes values one after the other with one numbering. */
export class Writer {
  #text = '';
  #count = 0;
  readonly #numbers = new Map<Cell | Node, number>();

  get text(): string {
    return this.#text;
  }

  raw(text: string): void {
    this.#text += text;
  }

  value(cell: Cell): void {
    const { node, isReference } = cell;
    const isObject = node.kind === 'object' || node.kind === 'opaque';
    this.#count += 1;
    if (isObject || isReference) {
      // A reference to an object counts as the object.
      const identity = isObject ? node : cell;
      const known = this.#numbers.get(identity);
      if (known !== undefined) {
        if (isReference) this.#count -= 1;
        this.#text += `${isReference ? 'R' : 'r'}:${known};`;
        return;
      }
      this.#numbers.set(identity, this.#count);
    }
    if (node.kind === 'scalar' || node.kind === 'opaque') this.#text += node.bytes;
    else this.#container(node);
  }

  #container({ head, entries }: Extract<Node, { entries: readonly Entry[] }>): void {
    this.#text += `${head}${entries.length}:{`;
    for (const { key, value } of entries) {
      this.#text += key;
      this.value(value);
    }
    this.#text += '}';
  }
}
