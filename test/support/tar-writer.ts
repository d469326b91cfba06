/** Small tar archives for tests. */

/** One entry; `type` as of ustar: `0` a file, `5` a directory, `2` a link. */
export function tarEntry(name: string, content: Uint8Array, type = '0'): Buffer {
  const head = Buffer.alloc(512);
  head.write(name, 0, 'latin1');
  head.write(`${content.length.toString(8).padStart(11, '0')} `, 124);
  head.write('        ', 148);
  head.write(type, 156);
  head.write('ustar', 257);
  const sum = head.reduce((total, byte) => total + byte, 0);
  head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([head, content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
}

export const tar = (...entries: Buffer[]): Buffer => Buffer.concat([...entries, Buffer.alloc(1024)]);

export const tarOf = (files: Readonly<Record<string, Uint8Array>>): Buffer =>
  tar(...Object.entries(files).map(([name, content]) => tarEntry(name, content)));
