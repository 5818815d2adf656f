import { attentionFormatsSuite } from "./suites/attention-formats.ts";
import { describeThreads } from "./two-ways.ts";

describeThreads("all", attentionFormatsSuite);
