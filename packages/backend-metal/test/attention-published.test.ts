import { attentionPublishedSuite } from "../../backend-cpu/test/suites/attention-published.ts";
import { describeTwoWays } from "./two-ways.ts";

describeTwoWays("attention", attentionPublishedSuite);
