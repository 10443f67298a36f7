/* The page of a chat: what its parts do, each in a module of its own. */
import "./composer.js";
import "./thread.js";
import "./keys.js";
import "./acts.js";
import "./decorate.js";
import "./zone.js";
