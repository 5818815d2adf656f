import { attentionPublishedSuite } from "./suites/attention-published.ts";
import { describeThreads } from "./two-ways.ts";

describeThreads("best", attentionPublishedSuite);
