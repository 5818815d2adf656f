/** The devices that there are: cpu, the default, and metal. */
import "@rlxjs/backend-cpu";
import "@rlxjs/backend-metal";
