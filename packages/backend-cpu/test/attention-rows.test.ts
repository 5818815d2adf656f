import { attentionRowsSuite } from "./suites/attention-rows.ts";
import { describeThreads } from "./two-ways.ts";

describeThreads("all", attentionRowsSuite);
