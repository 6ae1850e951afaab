package dev.whence.engine.training;

import dev.whence.engine.kernel.PackedDocuments;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Puts examples side by side into rows, and rows into packs of a token budget. Examples are taken
 * longest first, so that the examples of a pack are of similar length: a row is as long as the
 * pack's longest example, and attention costs its square. Within a pack an example goes into the
 * first row that has room (first-fit decreasing).
 *
 * <p>The last token of an example is never read, only predicted, and takes no room.
 */
public final class RowPacker {
  /** Row lengths are multiples of it, which matrix products like. */
  private static final int STEP = 8;

  /**
   * A pack, and which example each of its scored tokens belongs to.
   *
   * @param documents for the kernel
   * @param owners per scored token, the index of its example in the list that was packed
   */
  @SuppressWarnings("ArrayRecordComponent") // handed to the kernel; compared nowhere
  public record Packed(PackedDocuments documents, int[] owners) {}

  private final int budget;

  /**
   * @param budget tokens of a pack, padding included; a longer example is a pack by itself
   */
  public RowPacker(int budget) {
    this.budget = budget;
  }

  /**
   * Packs examples that have a scored token; the others teach nothing.
   *
   * @param weightScale what loss weights are multiplied by
   */
  public List<Packed> pack(List<Example> examples, double weightScale) {
    return pack(examples, weightScale, 1);
  }

  /**
   * As {@link #pack(List, double)}.
   *
   * @param parts so many packs at least, of about equal size, where there are enough examples
   */
  public List<Packed> pack(List<Example> examples, double weightScale, int parts) {
    int[] order =
        IntStream.range(0, examples.size())
            .filter(i -> isScored(examples.get(i)))
            .boxed()
            .sorted(Comparator.comparingInt(i -> -examples.get(i).length()))
            .mapToInt(Integer::intValue)
            .toArray();
    List<Packed> packs = new ArrayList<>();
    int next = 0;
    long tokens = Arrays.stream(order).mapToLong(i -> examples.get(i).length() - 1).sum();
    int room = (int) Math.min(budget, (tokens + parts - 1) / parts);
    while (next < order.length) {
      Rows rows = new Rows(examples.get(order[next]).length() - 1, room);
      while (next < order.length && rows.add(order[next], examples.get(order[next]).length() - 1)) {
        next++;
      }
      packs.add(rows.packed(examples, weightScale));
    }
    return packs;
  }

  private static boolean isScored(Example example) {
    for (float weight : example.lossWeights()) {
      if (weight != 0) {
        return true;
      }
    }
    return false;
  }

  private static final class Rows {
    private final int length;
    private final int mostRows;
    private final List<List<Integer>> rows = new ArrayList<>();
    private final List<Integer> used = new ArrayList<>();

    Rows(int longest, int budget) {
      this.length = (longest + STEP - 1) / STEP * STEP;
      this.mostRows = Math.max(1, budget / length);
    }

    boolean add(int example, int tokens) {
      for (int row = 0; row < rows.size(); row++) {
        if (used.get(row) + tokens <= length) {
          rows.get(row).add(example);
          used.set(row, used.get(row) + tokens);
          return true;
        }
      }
      if (rows.size() == mostRows) {
        return false;
      }
      rows.add(new ArrayList<>(List.of(example)));
      used.add(tokens);
      return true;
    }

    Packed packed(List<Example> examples, double weightScale) {
      int n = rows.size() * length;
      long[] ids = new long[n];
      long[] documents = new long[n];
      long[] positions = new long[n];
      long[] scored = new long[n];
      long[] targets = new long[n];
      float[] weights = new float[n];
      float[] teachers = new float[n];
      int[] owners = new int[n];
      Arrays.fill(documents, -1);
      boolean taught = false;
      int found = 0;
      for (int row = 0; row < rows.size(); row++) {
        int at = row * length;
        for (int index : rows.get(row)) {
          Example example = examples.get(index);
          for (int i = 0; i < example.length() - 1; i++, at++) {
            ids[at] = example.tokens()[i];
            documents[at] = index;
            positions[at] = i;
            float weight = example.lossWeights()[i + 1];
            if (weight != 0) {
              scored[found] = at;
              targets[found] = example.tokens()[i + 1];
              weights[found] = (float) (weight * weightScale);
              boolean told = example.teacherLosses().length > 0;
              teachers[found] = told ? example.teacherLosses()[i + 1] : Float.NaN;
              taught |= told;
              owners[found] = index;
              found++;
            }
          }
        }
      }
      return new Packed(
          new PackedDocuments(
              rows.size(),
              length,
              ids,
              documents,
              positions,
              Arrays.copyOf(scored, found),
              Arrays.copyOf(targets, found),
              Arrays.copyOf(weights, found),
              Arrays.copyOf(teachers, taught ? found : 0)),
          Arrays.copyOf(owners, found));
    }
  }
}
