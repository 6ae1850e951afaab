package dev.whence.transfer.merge;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.transfer.TransferException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Heads that are stored, their rows put together by token, with more rows than the embeddings. */
class HeadRowsTest {
  private static final String EMBEDDINGS = "model.embed_tokens.weight";
  private static final String HEAD = "lm_head.weight";

  @TempDir private Path directory;

  private TransferRequest request(String addedTokens, float... headOfTarget) throws IOException {
    Path b =
        model(List.of(), rows(EMBEDDINGS, 1, 2, 3), rows(HEAD, 1, 2, 3))
            .write(directory.resolve("b"));
    Path f =
        model(
                List.of("<call>", "<end>"),
                rows(EMBEDDINGS, 1.5f, 2.25f, 3, 42, 43),
                rows(HEAD, 2, 4, 6, 8, 9))
            .write(directory.resolve("f"));
    Path t =
        new ModelFolder()
            .tokens(List.of("c", "b", "a"))
            .add(rows(EMBEDDINGS, 10, 20, 30))
            .add(rows(HEAD, headOfTarget))
            .write(directory.resolve("t"));
    return TransferRequest.of(b, f, t)
        .withPolicies(Policies.of(Map.of("vocabulary", "align", "added-tokens", addedTokens)));
  }

  private static ModelFolder model(List<String> added, ModelFolder.Raw... tensors) {
    ModelFolder folder = new ModelFolder().tokens(List.of("a", "b", "c"), added);
    for (ModelFolder.Raw tensor : tensors) {
      folder.add(tensor);
    }
    return folder;
  }

  private static ModelFolder.Raw rows(String name, float... values) {
    return ModelFolder.rows(name, 1, values);
  }

  @Test
  void aHeadWithRowsThatTheResultHasNoRoomForIsRefusedAndLosesNone() throws IOException {
    TransferRequest request = request("drop", 100, 200, 300, 400, 500);
    assertThatThrownBy(() -> TransferPlan.of(request).close())
        .isInstanceOfSatisfying(
            TransferException.class,
            refused ->
                assertThat(refused.reasons())
                    .containsExactly(
                        "'lm_head.weight' has 5 rows in the target, the result's embeddings 3: the"
                            + " rows after these belong to no token of it, and are not dropped"
                            + " unasked; cut them off, or pad the embeddings, too"));
  }

  @Test
  void aHeadWhosePaddingTakesAllAddedTokensLosesNone() throws IOException {
    TransferRequest request = request("append", 100, 200, 300, 400, 500);
    Path output = directory.resolve("merged");
    try (TransferPlan plan = TransferPlan.of(request)) {
      MergeRun.run(plan, output, MergeOptions.defaults(), MergeProgress.NONE);
    }
    // c: + 3, b: + 2, a: + 1
    assertThat(ModelFolder.floats(output, HEAD)).containsExactly(103f, 202f, 301f, 8f, 9f);
    assertThat(ModelFolder.floats(output, EMBEDDINGS))
        .containsExactly(10f, 20.25f, 30.5f, 42f, 43f);
  }
}
