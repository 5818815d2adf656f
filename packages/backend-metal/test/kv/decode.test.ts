import { afterEach } from "vitest";
import { bucketedDecodeSuite } from "../../../models-core/test/kv/suites/decode.ts";
import { describeOnMetal, expectNoFaults, openSession, fastest, strictest } from "../variants.ts";

afterEach(expectNoFaults);

describeOnMetal("bucketed decode, over two rollovers", () =>
  bucketedDecodeSuite(() => openSession(fastest), { steps: 11, batches: [3], layers: [[2, 1]] }),
);
describeOnMetal("bucketed decode, checked, over one rollover", () =>
  bucketedDecodeSuite(() => openSession(strictest), { steps: 6, batches: [1], layers: [[2, 1]] }),
);
