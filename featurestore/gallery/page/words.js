// Sentences that several parts of the page say.

export const READ_ONLY = "This server was started with --read-only, so labels cannot be changed. Start it without to label.";
