/** One field of a tracepoint's record, as its format file in tracefs states it. */
export interface FormatField {
  /** The declaration before the semicolon, for instance "const char * filename" or "char comm[16]". */
  readonly declaration: string;
  readonly offset: number;
  readonly size: number;
  readonly signed: boolean;
}

const FIELD = /^\s*field:(.*?);\s*offset:(\d+);\s*size:(\d+);(?:\s*signed:(\d+);)?/;

/** The fields of a format file, in its order. */
export function parseFormat(text: string): readonly FormatField[] {
  const fields: FormatField[] = [];
  for (const line of text.split("\n")) {
    const match = FIELD.exec(line);
    if (match === null) continue;
    fields.push({
      declaration: match[1]!.trim(),
      offset: Number(match[2]),
      size: Number(match[3]),
      signed: match[4] === "1",
    });
  }
  return fields;
}

/**
 * The C struct of a tracepoint's record. Offsets and sizes are the format file's own: members stand at stated offsets
 * in a packed struct, so no rule of C can move one.
 *
 * Names are BCC's: a field of variable place (`__data_loc`) is `int data_loc_<name>`. One that C keeps for itself gets an
 * underscore behind it.
 */
export function tracepointStruct(tag: string, format: string): string {
  const members: string[] = [];
  let end = 0;
  for (const field of parseFormat(format)) {
    if (field.offset < end) continue;
    if (field.offset > end) members.push(`char __pad_${end}[${field.offset - end}];`);
    members.push(`${memberOf(field)};`);
    end = field.offset + field.size;
  }
  return `struct ${tag} { ${members.join(" ")} } __attribute__((packed, aligned(8)));`;
}

/** Words that a kernel in C could not call a field, and a field of a dynamic event can be called. */
const KEYWORDS = new Set(
  `auto break case char const continue default do double else enum extern float for goto if inline int long register
  restrict return short signed sizeof static struct switch typedef union unsigned void volatile while asm typeof`.split(
    /\s+/,
  ),
);

function memberOf({ declaration, size, signed }: FormatField): string {
  const located = /^__(data|rel)_loc\s+.*?(\w+)$/.exec(declaration);
  if (located !== null)
    return `${located[1] === "rel" ? "enum __rx_relative" : "int"} data_loc_${located[2]}`;
  const match = /^(.*?)(\w+)\s*((?:\[[^\]]*\])*)$/.exec(declaration);
  const type = match?.[1]?.trim() ?? "";
  const own = match?.[2] ?? "";
  const name = KEYWORDS.has(own) ? `${own}_` : own;
  const dimensions = match?.[3] ?? "";
  if (dimensions !== "") return arrayMember(type, name, size, signed);
  if (type.endsWith("*") && size === 8) return `${pointerType(type)}${name}`;
  return size === 1 || size === 2 || size === 4 || size === 8
    ? `${signed ? "__s" : "__u"}${size * 8} ${name}`
    : `unsigned char ${name}[${size}]`;
}

/** Element sizes of the types that arrays in format files have; the rest are read as bytes. */
const ELEMENTS: readonly (readonly [RegExp, string, number])[] = [
  [/^(?:const )?char$/, "char", 1],
  [/^(?:unsigned char|__?u8|u8|uint8_t)$/, "__u8", 1],
  [/^(?:__u16|u16|unsigned short|__be16|uint16_t)$/, "__u16", 2],
  [/^(?:int|__s32|s32|int32_t)$/, "__s32", 4],
  [/^(?:unsigned int|unsigned|__u32|u32|__be32|uint32_t)$/, "__u32", 4],
  [/^(?:long|long long|__s64|s64|int64_t)$/, "__s64", 8],
  [/^(?:unsigned long|unsigned long long|__u64|u64|uint64_t|size_t)$/, "__u64", 8],
];

function arrayMember(type: string, name: string, size: number, signed: boolean): string {
  const known = ELEMENTS.find(([pattern, , bytes]) => pattern.test(type) && size % bytes === 0);
  if (known !== undefined) return `${known[1]} ${name}[${size / known[2]}]`;
  return `${signed ? "char" : "unsigned char"} ${name}[${size}]`;
}

/** A pointer type that needs no other declaration: a pointer to a plain word type stays, the rest point to void. */
function pointerType(type: string): string {
  const plain =
    /^(?:const )?(?:char|void|int|unsigned int|long|unsigned long|struct \w+)(?: \*|\*|\*const| )*\*$/;
  return plain.test(type) ? `${type} ` : "const void *";
}
