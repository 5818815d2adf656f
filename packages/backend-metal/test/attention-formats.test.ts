import { attentionFormatsSuite } from "../../backend-cpu/test/suites/attention-formats.ts";
import { describeTwoWays } from "./two-ways.ts";

describeTwoWays("attention", attentionFormatsSuite);
