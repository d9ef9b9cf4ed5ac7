import { test } from "vitest";
import { expectGenerated } from "../../support/generated.ts";
import { publicApiText } from "../../support/public-api.ts";

test("docs/public-api.txt lists what the package exports", () => {
  expectGenerated("docs/public-api.txt", publicApiText());
});
