package dev.whence.transfer.merge;

import dev.whence.engine.weights.SafetensorsFile;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The rows of vocabularies that differ, put together by token string. A row of the target whose
 * token both base and fine-tuned have gets their difference; another row stays as it is. Tokens
 * that fine-tuning added and the target lacks are dropped or appended, by policy: into rows after
 * the target's last token, whether its embeddings have padding there or must grow.
 *
 * @param targetRows of the target's embeddings
 * @param rows of the result's embeddings
 * @param appended row in the result by token string, of tokens that the target does not have
 */
record VocabularyAlignment(
    Vocabulary base,
    Vocabulary fineTuned,
    Vocabulary target,
    int targetRows,
    int rows,
    Map<String, Integer> appended) {

  /**
   * Aligns three vocabularies.
   *
   * @param targetRows rows of the target's embeddings
   * @param problems takes what the policy refuses
   */
  static VocabularyAlignment of(
      Vocabulary base,
      Vocabulary fineTuned,
      Vocabulary target,
      int targetRows,
      Policies policies,
      List<String> problems) {
    Map<String, Integer> appended = new LinkedHashMap<>();
    List<String> added =
        fineTuned.tokens().values().stream()
            .filter(token -> base.row(token).isEmpty() && target.row(token).isEmpty())
            .toList();
    switch (policies.addedTokens()) {
      case FAIL -> {
        if (!added.isEmpty()) {
          problems.add(
              "the fine-tuned model has "
                  + added.size()
                  + " tokens that neither base nor target have (the first has id "
                  + fineTuned.ids().get(added.get(0))
                  + "): choose whether added tokens are dropped or appended");
        }
      }
      case DROP -> {}
      case APPEND -> {
        refuseStrangers(fineTuned, added, problems);
        int next = target.rows();
        for (String token : added) {
          appended.put(token, next++);
        }
      }
    }
    int rows = Math.max(targetRows, target.rows() + appended.size());
    return new VocabularyAlignment(base, fineTuned, target, targetRows, rows, appended);
  }

  /** Only added tokens are tokens wherever they are added: others need their model's merges. */
  private static void refuseStrangers(
      Vocabulary fineTuned, List<String> added, List<String> problems) {
    List<String> strangers =
        added.stream().filter(token -> !fineTuned.added().containsKey(token)).toList();
    if (!strangers.isEmpty()) {
      problems.add(
          "the fine-tuned model has "
              + strangers.size()
              + " tokens that neither base nor target have and that are not among its added tokens"
              + " (the first is '"
              + SafetensorsFile.printable(strangers.get(0))
              + "', id "
              + fineTuned.ids().get(strangers.get(0))
              + "): they belong to another tokenizer model and can not be appended");
    }
  }

  /** Rows for one tensor: the stored tensors may have fewer rows than the tokenizers have ids. */
  RowMap map(long targetRows, long baseRows, long fineTunedRows) {
    int[] t = new int[rows];
    int[] b = new int[rows];
    int[] f = new int[rows];
    Arrays.fill(b, RowMap.NONE);
    Arrays.fill(f, RowMap.NONE);
    for (int row = 0; row < rows; row++) {
      t[row] = row < targetRows ? row : RowMap.NONE;
      Optional<String> token = target.token(row);
      if (token.isPresent()) {
        b[row] = within(base.row(token.get()), baseRows);
        f[row] = within(fineTuned.row(token.get()), fineTunedRows);
      }
    }
    appended.forEach(
        (token, row) -> {
          t[row] = RowMap.NONE;
          f[row] = within(fineTuned.row(token), fineTunedRows);
        });
    return new RowMap(t, b, f);
  }

  private static int within(Optional<Integer> row, long rows) {
    return row.filter(known -> known < rows).orElse(RowMap.NONE);
  }

  /** Whether the result has a token. */
  boolean isOfResult(String token) {
    return appended.containsKey(token) || target.row(token).isPresent();
  }

  /** Whether appending would give it to the result: only what the fine-tuning added is appended. */
  boolean couldAppend(String token) {
    return fineTuned.row(token).isPresent()
        && base.row(token).isEmpty()
        && target.row(token).isEmpty();
  }

  /** The row in the result of an id of the fine-tuned model. */
  Optional<Integer> resultRow(int fineTunedId) {
    return fineTuned
        .token(fineTunedId)
        .flatMap(token -> Optional.ofNullable(appended.get(token)).or(() -> target.row(token)));
  }
}
