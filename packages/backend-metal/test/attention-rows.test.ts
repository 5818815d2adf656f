import { attentionRowsSuite } from "../../backend-cpu/test/suites/attention-rows.ts";
import { describeTwoWays } from "./two-ways.ts";

describeTwoWays("attention", attentionRowsSuite);
