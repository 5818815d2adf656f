import { type BlockJudge, type BlockVerdict, blockProbabilities } from "./decode-blocks.ts";

/** Token ids of a vocabulary that writes boxes: `start x1 y1 x2 y2 end`, or `start none end`, with one token per coordinate. */
export interface BoxTokens {
  readonly start: number;
  readonly end: number;
  /** In place of coordinates: there is no box; and padding behind it. */
  readonly none: number;
  readonly null: number;
  /** Ends the whole text. */
  readonly stop: number;
  readonly firstCoordinate: number;
  readonly lastCoordinate: number;
}

interface Choice {
  readonly id: number;
  readonly p: number;
}

/**
 * Judges blocks of six rows as boxes. The frame is read from all six rows: an empty box, or a box that ends in the last row. A coordinate of
 * which the model is unsure (below 0.9, and its likeliest coordinates more than 60 apart) ends the block before it, to go on token by token.
 */
export function boxJudge(ids: BoxTokens): BlockJudge {
  return (slab) => {
    if (slab.rows !== 6) return undefined;
    const p = Array.from({ length: 6 }, (_, row) => blockProbabilities(slab, row));
    const at = (row: number, id: number): number => p[row]?.[id] ?? 0;
    if (at(0, ids.stop) > 0.5) return { ids: [ids.stop] };
    if (at(0, ids.start) < 0.6) return undefined;
    if (at(1, ids.none) > 0.2 && at(2, ids.end) > 0.2 && at(3, ids.null) > 0.1 && at(4, ids.null) > 0.1)
      return { ids: [ids.start, ids.none, ids.end] };
    if (at(5, ids.end) + at(5, ids.none) + at(5, ids.stop) < 0.2) return undefined;
    return coordinates(p.slice(1, 5), ids);
  };
}

function coordinates(rows: readonly Float64Array[], ids: BoxTokens): BlockVerdict {
  const text = [ids.start];
  for (const row of rows) {
    const id = coordinate(row, ids);
    if (id === undefined) return { ids: text, fallback: true };
    text.push(id);
  }
  return { ids: [...text, ids.end] };
}

/** The likeliest coordinate among the five likeliest tokens of a row; undefined: there is none, or it is unsure. */
function coordinate(row: Float64Array, { firstCoordinate, lastCoordinate }: BoxTokens): number | undefined {
  const best = Array.from(row, (p, id): Choice => ({ id, p })).sort((a, b) => b.p - a.p || a.id - b.id);
  const valid = best.slice(0, 5).filter(({ id }) => id >= firstCoordinate && id <= lastCoordinate);
  const [first] = valid;
  if (!first) return undefined;
  const places = valid.map(({ id }) => id);
  const unsure = first.p < 0.9 && Math.max(...places) - Math.min(...places) > 60;
  return unsure ? undefined : first.id;
}
