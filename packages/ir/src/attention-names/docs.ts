import { markdownTable } from "../markdown.ts";
import { type AttentionForm, attentionForms } from "./table.ts";

/** One kernel of the reference, and what it is here. */
export interface AttentionNameRow {
  readonly reference: string;
  readonly name: string;
  /** What the op `attention` is given for it. */
  readonly op: string;
  readonly differs: string;
}

function rowOf(name: string, form: AttentionForm): AttentionNameRow {
  const { causal, window, maskType, softcap, mask, offset, codes } = form;
  const codec = codes === undefined ? "" : `kCodec, vCodec: mlx-native-v1 or lloyd-max-v2 at ${codes === 4 ? "4" : codes} bits`;
  const given = [
    causal === "doCausal" ? "causal: doCausal" : causal ? "causal" : "",
    window === undefined ? "" : `window: ${window}${maskType ? " for maskType 2" : ""}`,
    softcap ? "softcap" : "",
    mask ? "bias mask" : "",
    offset ? "qPos: qOffsetInK" : "",
    "kvLen: kvSeqLen",
    codec,
    codes === undefined ? "" : "ringStart",
  ];
  return { reference: form.reference, name, op: given.filter((g) => g !== "").join("; "), differs: form.differs };
}

export const attentionNameRows: readonly AttentionNameRow[] = Object.entries(attentionForms).map(([name, form]) => rowOf(name, form));

/** The rows as a Markdown table. */
export function renderAttentionNames(): string {
  const rows = attentionNameRows.map((r) => [`\`${r.reference}\``, `\`${r.name}\``, r.op, r.differs]);
  const header = ["reference", "here", "`attention` with", "what differs"];
  return markdownTable(header, rows);
}
