import { pointee } from "../c-type.ts";
import type { Edit, NewText } from "../edits.ts";
import { type ExpressionTypes, isArrow } from "../expressions.ts";
import type { Facts, FunctionFact } from "../facts.ts";
import { type Range, tokenAfter } from "../lexer.ts";
import { PacketLayouts, type PacketType } from "../packet-layout.ts";
import type { SyntaxNode } from "../parser.ts";
import type { PassDiagnostic, PassInput, PassResult } from "./index.ts";

/** What a source must say for this pass to have anything to do. */
const MENTIONED = /"rx:packet"|\bdeprecated\s*\(\s*"packet"|\bincr_cksum_l[34]\b/;

/** BCC's checksum builtins, which take no context, and what they become. */
const CHECKSUMS: ReadonlyMap<string, string> = new Map([
  ["incr_cksum_l3", "__rx_cksum_l3"],
  ["incr_cksum_l4", "__rx_cksum_l4"],
]);

/**
 * Fields of packet headers become loads and stores of the packet: `ip->ttl` is read through the function's socket
 * buffer, `ip->ttl -= 1` read and written. A static function without a socket buffer of its own gets its caller's.
 */
export function packet({ facts, kernelTypes, expressions }: PassInput): PassResult {
  if (!MENTIONED.test(facts.text)) return { edits: [], diagnostics: [] };
  return new PacketPass(facts, expressions(), kernelTypes).run();
}

/** A first parameter that is no socket buffer. */
const OTHER_CONTEXT = /\bstruct\s+(?!(?:__)?sk_buff\b)/;

/** A place in a packet: `base` and, behind it, members and elements. */
interface Place {
  /** The whole expression, with brackets around it. */
  readonly node: SyntaxNode;
  /** The pointer that is the header's offset. */
  readonly base: SyntaxNode;
  readonly type: PacketType;
  /** Bits from the header's start, without what indices add. */
  readonly offset: number;
  /** Indices, each with the bytes of one element. */
  readonly indices: readonly { readonly index: SyntaxNode; readonly bytes: number }[];
  readonly isBitField: boolean;
}

/** A use of a packet by a function: it needs the name of a socket buffer. */
interface Use extends Range {
  readonly edits: (context: string) => readonly Edit[];
}

class PacketPass {
  readonly #facts: Facts;
  readonly #expressions: ExpressionTypes;
  readonly #layouts: PacketLayouts;
  readonly #uses: Use[] = [];
  readonly #diagnostics: PassDiagnostic[] = [];
  /** Structs whose layout lowering relies on, by tag. */
  readonly #sizes = new Map<string, number>();

  constructor(facts: Facts, expressions: ExpressionTypes, kernelTypes: PassInput["kernelTypes"]) {
    this.#facts = facts;
    this.#expressions = expressions;
    this.#layouts = new PacketLayouts(facts.root, kernelTypes);
  }

  run(): PassResult {
    const { root, calls, fileNames } = this.#facts;
    const accesses = root.descendantsOfType([
      "field_expression",
      "subscript_expression",
      "pointer_expression",
    ]);
    for (const node of accesses) this.#visit(node);
    for (const call of calls) {
      const builtin = CHECKSUMS.get(call.name);
      if (builtin === undefined || fileNames.has(call.name)) continue;
      const open = this.#openOf(call.nameRange.end);
      const edits = (context: string): readonly Edit[] => [
        { kind: "replace", ...call.nameRange, text: builtin },
        { kind: "replace", ...open.bracket, text: `(${context}, ` },
      ];
      this.#uses.push({ ...call.nameRange, edits });
    }
    const edits = [
      ...new Contexts(this.#facts, this.#uses, this.#diagnostics).edits(),
      ...this.#assertions(),
    ];
    return { edits, diagnostics: this.#diagnostics };
  }

  /** The compiler holds our layouts against its own. */
  #assertions(): readonly Edit[] {
    const at = this.#facts.text.length;
    const why = "members of a packet header lie without gaps: mark the structs in it as packed";
    return [...this.#sizes].map(([tag, bytes]) => ({
      kind: "replace",
      start: at,
      end: at,
      text: `\n_Static_assert(sizeof(${tag}) == ${bytes}, "${tag}: ${why}");`,
    }));
  }

  #openOf(at: number): { readonly bracket: Range; readonly index: number } {
    const { tokens } = this.#facts.normalized;
    const index = tokenAfter(tokens, at);
    const { start, end } = tokens[index]!;
    return { bracket: { start, end }, index };
  }

  #visit(node: SyntaxNode): void {
    const base = this.#headerPointer(node);
    if (base === undefined) return;
    const place = this.#placeFrom(node, base);
    if (place !== undefined) this.#use(place);
  }

  /** The pointer to a packet header that an expression goes through, or undefined. */
  #headerPointer(node: SyntaxNode): SyntaxNode | undefined {
    const argument = node.childForFieldName("argument");
    if (argument === null) return undefined;
    if (node.type === "field_expression" && !isArrow(node)) return undefined;
    if (node.type === "pointer_expression" && node.firstChild?.type !== "*") return undefined;
    const type = this.#expressions.of(argument);
    if (type.kind === "array") return undefined;
    const target = pointee(type);
    return target.kind === "record" && target.record.origin === "packet" ? argument : undefined;
  }

  /** Climbs from the way through a header's pointer to the whole lvalue. */
  #placeFrom(first: SyntaxNode, base: SyntaxNode): Place | undefined {
    const target = pointee(this.#expressions.of(base));
    const definition = target.kind === "record" ? target.record.definition : undefined;
    const layout = definition === undefined ? null : this.#layouts.of(definition);
    if (definition === undefined || layout === null) {
      const message = "the layout of this packet header cannot be told";
      const hint = "give its members types of known size, and arrays lengths in numbers";
      return this.#refuse(first, "PACKET_LAYOUT", message, hint);
    }
    const tag = definition.childForFieldName("name")?.text;
    if (tag !== undefined) this.#sizes.set(`struct ${tag}`, layout.bits / 8);
    let place: Place = { node: first, base, type: layout, offset: 0, indices: [], isBitField: false };
    if (first.type === "subscript_expression") {
      const index = first.childForFieldName("index")!;
      place = { ...place, indices: [{ index, bytes: layout.bits / 8 }] };
    } else if (first.type === "field_expression") {
      const member = this.#member(place, first);
      if (member === undefined) return undefined;
      place = member;
    }
    for (let parent = place.node.parent; parent !== null; parent = place.node.parent) {
      const isArgument = parent.childForFieldName("argument")?.id === place.node.id;
      if (parent.type === "parenthesized_expression" && parent.namedChildren.length === 1) {
        // The brackets of if, while and switch are the statement's.
        if (parent.parent?.childForFieldName("condition")?.id === parent.id) return place;
        place = { ...place, node: parent };
      } else if (parent.type === "field_expression" && isArgument && !isArrow(parent)) {
        const member = this.#member(place, parent);
        if (member === undefined) return undefined;
        place = member;
      } else if (parent.type === "subscript_expression" && isArgument && place.type.kind === "array") {
        const index = parent.childForFieldName("index")!;
        const bytes = place.type.of.bits / 8;
        place = {
          ...place,
          node: parent,
          type: place.type.of,
          indices: [...place.indices, { index, bytes }],
        };
      } else {
        return place;
      }
    }
    return place;
  }

  /** The place of a member of a place; undefined when there is none, which the compiler says. */
  #member(place: Place, node: SyntaxNode): Place | undefined {
    const name = node.childForFieldName("field")?.text ?? "";
    const member = place.type.kind === "record" ? place.type.members.get(name) : undefined;
    if (member === undefined) return undefined;
    const { type, offset, isBitField } = member;
    return { ...place, node, type, offset: place.offset + offset, isBitField };
  }

  #refuse(at: SyntaxNode, code: string, message: string, hint: string): undefined {
    const { startIndex: start, endIndex: end } = at;
    this.#diagnostics.push({ start, end, severity: "error", code, message, hint });
  }

  #use(place: Place): void {
    const { node, type } = place;
    const parent = node.parent;
    const isAddress = parent?.type === "pointer_expression" && parent.firstChild?.type === "&";
    if (isAddress) return this.#address(place, parent);
    if (parent?.type === "sizeof_expression" || type.kind === "array") return;
    if (type.kind === "record") {
      // As a statement it has no value, and compilers refuse it elsewhere.
      return this.#refuse(
        node,
        "PACKET_COPY",
        "a packet header is no memory: only its fields can be read and written",
        "copy bytes with bpf_skb_load_bytes(skb, offset, &copy, sizeof(copy))",
      );
    }
    if (type.bits > 128) {
      return this.#refuse(
        node,
        "PACKET_LAYOUT",
        `a field of ${type.bits} bits is wider than any number`,
        "split it",
      );
    }
    if (parent?.type === "assignment_expression" && parent.childForFieldName("left")?.id === node.id) {
      const right = parent.childForFieldName("right")!;
      const operator = parent.children.find((child) => !child.isNamed)?.type ?? "=";
      const word = operator === "=" ? "store" : "update";
      const amount = operator === "=" ? "" : `, ${operator.slice(0, -1)}`;
      return this.#add(place, word, parent, right.startIndex, amount + ", (", [
        { kind: "wrap", start: right.startIndex, end: right.endIndex, before: "", after: "))" },
      ]);
    }
    if (parent?.type === "update_expression") {
      const operator = parent.children.find((child) => !child.isNamed)!;
      const isPrefix = operator.startIndex < node.startIndex;
      const sign = operator.type.slice(1);
      return this.#add(
        place,
        isPrefix ? "update" : "step",
        parent,
        parent.endIndex,
        `, ${sign}${isPrefix ? ", 1" : ""})`,
      );
    }
    this.#add(place, "load", node, node.endIndex, ")");
  }

  /** `&ip->field` is an offset. C computes it, except for bit fields. */
  #address(place: Place, operation: SyntaxNode): void {
    if (!place.isBitField) return;
    if (place.offset % 8 !== 0) {
      return this.#refuse(
        operation,
        "PACKET_ADDRESS",
        "this field does not begin at a byte, so it has no offset",
        "take the address of a field that does",
      );
    }
    this.#addText(place, operation, operation.endIndex, "((void *)(__u64)(", ` + ${place.offset / 8})`, []);
  }

  /** Replaces an expression by a macro's call: the base and the indices stay where they are. */
  #add(
    place: Place,
    macro: string,
    whole: SyntaxNode,
    end: number,
    tail: string,
    more: readonly Edit[] = [],
  ): void {
    const { offset, type } = place;
    this.#addText(
      place,
      whole,
      end,
      (context) => `__rx_packet_${macro}(${context}, (__u64)(`,
      `, ${offset}, ${type.bits}${tail}`,
      more,
    );
  }

  #addText(
    { base, indices }: Place,
    whole: SyntaxNode,
    end: number,
    head: string | ((context: string) => string),
    tail: string,
    more: readonly Edit[],
  ): void {
    const edits = (context: string): readonly Edit[] => {
      const before = typeof head === "string" ? head : head(context);
      const replace = (start: number, to: number, text: NewText): Edit => ({
        kind: "replace",
        start,
        end: to,
        text,
      });
      const closing: Edit[] = [];
      let at = base.endIndex;
      let text = ")";
      for (const { index, bytes } of indices) {
        closing.push(replace(at, index.startIndex, `${text} + (`));
        at = index.endIndex;
        text = `) * ${bytes}`;
      }
      closing.push(replace(at, end, `${text}${tail}`));
      const opening: Edit =
        whole.startIndex < base.startIndex
          ? replace(whole.startIndex, base.startIndex, before)
          : { kind: "wrap", start: base.startIndex, end: base.endIndex, before, after: "" };
      return [opening, ...closing, ...more];
    };
    this.#uses.push({ start: whole.startIndex, end: whole.endIndex, edits });
  }
}

/** Where functions get the socket buffer from that their packets are read through. */
class Contexts {
  readonly #facts: Facts;
  readonly #uses: readonly Use[];
  readonly #diagnostics: PassDiagnostic[];
  /** Functions that get the socket buffer as one more parameter. */
  readonly #given = new Set<FunctionFact>();

  constructor(facts: Facts, uses: readonly Use[], diagnostics: PassDiagnostic[]) {
    this.#facts = facts;
    this.#uses = uses;
    this.#diagnostics = diagnostics;
  }

  edits(): readonly Edit[] {
    const { calls, prototypes } = this.#facts;
    for (const use of this.#uses) this.#require(this.#functionAt(use.start));
    const edits: Edit[] = [];
    for (const fact of this.#given) {
      edits.push(this.#insertFirst(fact.nameRange, "void *__rx_skb"));
      for (const { name, nameRange } of prototypes)
        if (name === fact.name) edits.push(this.#insertFirst(nameRange, "void *__rx_skb"));
      for (const { name, nameRange, start } of calls) {
        const caller = this.#functionAt(start);
        if (name !== fact.name || caller === undefined || this.#facts.isLocal(name, start)) continue;
        const context = this.#contextOf(caller);
        if (context === undefined) this.#refuse(nameRange, caller);
        else edits.push(this.#insertFirst(nameRange, context));
      }
    }
    for (const use of this.#uses) {
      const user = this.#functionAt(use.start);
      if (user === undefined) continue;
      const context = this.#contextOf(user);
      if (context === undefined) this.#refuse(use, user);
      else edits.push(...use.edits(context));
    }
    return edits;
  }

  /** Gives a function and those that call it the socket buffer, as far as they have none. */
  #require(fact: FunctionFact | undefined): void {
    if (fact === undefined || !fact.isHelper || this.#own(fact) !== undefined || this.#given.has(fact))
      return;
    this.#given.add(fact);
    for (const { name, start } of this.#facts.calls)
      if (name === fact.name) this.#require(this.#functionAt(start));
  }

  #functionAt(offset: number): FunctionFact | undefined {
    return this.#facts.functions.find(({ body }) => body.start <= offset && offset < body.end);
  }

  #contextOf(fact: FunctionFact): string | undefined {
    return this.#own(fact) ?? (this.#given.has(fact) ? "__rx_skb" : undefined);
  }

  /** A socket buffer among a function's own parameters. A program has it first, however it is declared. */
  #own({ isHelper, parameters }: FunctionFact): string | undefined {
    const { text } = this.#facts;
    const typeOf = ({ start, end }: Range): string => text.slice(start, end);
    const buffer = parameters.find((parameter) => /\bstruct\s+__sk_buff\b/.test(typeOf(parameter)));
    if (buffer !== undefined || isHelper) return buffer?.name;
    const first = parameters[0];
    return first === undefined || OTHER_CONTEXT.test(typeOf(first)) ? undefined : first.name;
  }

  #refuse({ start, end }: Range, { name }: FunctionFact): void {
    this.#diagnostics.push({
      start,
      end,
      severity: "error",
      code: "PACKET_CONTEXT",
      message: `"${name}" needs a socket buffer for reading packet headers, and has none`,
      hint: "packet headers are for programs that get a struct __sk_buff; others compare pointers with data_end",
    });
  }

  /** Puts an argument or a parameter before the others of the list behind a name. */
  #insertFirst(name: Range, text: string): Edit {
    const { tokens, partners } = this.#facts.normalized;
    const open = tokenAfter(tokens, name.end);
    const close = partners[open]!;
    const { start, end } = tokens[open]!;
    const isVoid =
      close === open + 2 && this.#facts.text.slice(tokens[open + 1]!.start, tokens[open + 1]!.end) === "void";
    if (isVoid) return { kind: "replace", start, end: tokens[open + 1]!.end, text: `(${text}` };
    return { kind: "replace", start, end, text: close === open + 1 ? `(${text}` : `(${text}, ` };
  }
}
