package dev.whence.transfer.diff;

import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.SafetensorsFile;
import dev.whence.engine.weights.SafetensorsHeader;
import dev.whence.engine.weights.SafetensorsShards;
import dev.whence.transfer.TransferException;
import dev.whence.transfer.merge.DirectoryWriter;
import dev.whence.transfer.merge.Policies;
import dev.whence.transfer.merge.Role;
import dev.whence.transfer.merge.TensorReader;
import dev.whence.transfer.merge.UnfitTensors;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Adds stored diff vectors to a model: {@code M = T + sum_i w_i delta_i}, in double, rounded once
 * to T's type. A weight of -1 takes a diff out of the model that has it. Also composes diffs
 * without a model: {@code sum_i w_i delta_i}, rounded once to fp32. A result that is too large for
 * its type is an error.
 *
 * <p>Diffs are added in their order, and each of weight 1 or -1 knows where what it leads to is
 * -0.0 ({@link StoredDiff}). So a base with its own diff is the fine-tuned model bit for bit, and
 * the fine-tuned model without it the base wherever the stored difference is exact: {@link
 * DiffExtraction.Extracted} counts what does not come back. Where all weights are 0 the model's
 * tensors are copied.
 *
 * <p>NaN and infinities are refused, or go through the sum as IEEE arithmetic has it, by the policy
 * of a merge. What is refused is named by its first element in every tensor.
 */
public final class DiffApplication {
  private DiffApplication() {}

  /** A diff vector and its factor. */
  public record Weighted(Path diff, double weight) {}

  /**
   * Applies diffs; the first one's fine-tuned model says how answers end.
   *
   * @param output a directory that does not exist
   * @throws TransferException with all reasons if they do not match
   */
  public static void apply(Path target, List<Weighted> diffs, Path output) {
    apply(target, diffs, output, Policies.NonFinite.FAIL);
  }

  /** The same, by a policy for what is not finite in the model or in a diff. */
  public static void apply(
      Path target, List<Weighted> diffs, Path output, Policies.NonFinite nonFinite) {
    List<String> problems = new ArrayList<>();
    try (Opened opened = Opened.of(diffs, problems);
        TensorReader model = open(target, problems)) {
      Map<String, TensorReader.Info> tensors = model.tensors();
      for (StoredDiff diff : opened.diffs) {
        if (!DirectoryWriter.sameTokens(model, diff.reader())) {
          problems.add(
              "the vocabularies of model and diff differ: transfer run with vocabulary align puts"
                  + " rows together by token");
        }
        matches(tensors, diff, problems);
      }
      problems.addAll(
          DirectoryWriter.problems(
              output, tensors.keySet().stream().mapToLong(model::bytes).sum()));
      TransferException.refuse(problems);
      List<SafetensorsHeader.Tensor> layout =
          tensors.values().stream()
              .map(
                  tensor ->
                      new SafetensorsHeader.Tensor(
                          tensor.name(),
                          tensor.dtype(),
                          tensor.shape(),
                          model.bytes(tensor.name())))
              .toList();
      Map<String, byte[]> texts =
          opened.weights.get(0) < 0
              ? DirectoryWriter.textsOf(model)
              : DirectoryWriter.textsFor(model, opened.diffs.get(0).reader());
      texts.remove(SafetensorsShards.INDEX);
      try (DirectoryWriter out = new DirectoryWriter(output, layout, Map.of())) {
        double[] sum = new double[TensorReader.PIECE];
        UnfitTensors unfit = new UnfitTensors();
        for (TensorReader.Info tensor : tensors.values()) {
          if (unfit.isEnough()) {
            break;
          }
          if (!opened.diffs.get(0).tensors().containsKey(tensor.name()) || opened.isNothing()) {
            if (unfit.isNone()) {
              out.copy(model, tensor.name(), model.bytes(tensor.name()));
            }
            continue;
          }
          ElementType type = ElementType.valueOf(tensor.dtype());
          for (long at = 0; at < tensor.elements(); at += TensorReader.PIECE) {
            int n = (int) Math.min(TensorReader.PIECE, tensor.elements() - at);
            model.read(tensor.name(), at, n, sum);
            opened.add(tensor.name(), at, n, sum);
            if (unfit.add(
                opened.unfit(Optional.of(model), tensor.name(), type, at, n, sum, nonFinite))) {
              break;
            }
            if (unfit.isNone()) {
              out.write(type, sum, n);
            }
          }
        }
        unfit.refuse();
        out.publish(texts);
      }
    }
  }

  /** Opens the model, or ends with what is wrong with it and with the diffs. */
  private static TensorReader open(Path target, List<String> problems) {
    try {
      return TensorReader.openModel(Role.TARGET, target);
    } catch (TransferException e) {
      rethrowOfEnvironment(e);
      List<String> all = new ArrayList<>(e.reasons());
      all.addAll(problems);
      throw new TransferException(all);
    }
  }

  /** What is wrong with diffs by themselves, where the model is nowhere. */
  public static List<String> problems(List<Weighted> diffs) {
    List<String> problems = new ArrayList<>();
    Opened.of(diffs, problems).close();
    return problems;
  }

  private static void matches(
      Map<String, TensorReader.Info> tensors, StoredDiff diff, List<String> problems) {
    for (TensorReader.Info delta : diff.tensors().values()) {
      TensorReader.Info tensor = tensors.get(delta.name());
      if (tensor == null || !tensor.isFloat() || !tensor.shape().equals(delta.shape())) {
        problems.add(
            "'"
                + delta.name()
                + "' of the diff has shape "
                + delta.shape()
                + ", the model has "
                + (tensor == null ? "no such tensor" : tensor.dtype() + " " + tensor.shape()));
      }
    }
    tensors.values().stream()
        .filter(TensorReader.Info::isFloat)
        .filter(tensor -> !diff.tensors().containsKey(tensor.name()))
        .filter(tensor -> !SafetensorsShards.isBuffer(tensor.name()))
        .forEach(tensor -> problems.add("'" + tensor.name() + "' of the model has no difference"));
    tensors.values().stream()
        .filter(TensorReader.Info::isOtherFloat)
        .filter(tensor -> !diff.tensors().containsKey(tensor.name()))
        .filter(tensor -> !SafetensorsShards.isBuffer(tensor.name()))
        .forEach(
            tensor ->
                problems.add(
                    "'"
                        + tensor.name()
                        + "' of the model is "
                        + tensor.dtype()
                        + ", but differences are of F32, F16 and BF16"));
  }

  /**
   * Adds diffs up to one.
   *
   * @param output a directory that does not exist
   * @throws TransferException with all reasons if they do not match
   */
  public static void compose(List<Weighted> diffs, Path output) {
    compose(diffs, output, Policies.NonFinite.FAIL);
  }

  /** The same, by a policy for what is not finite in a diff. */
  public static void compose(List<Weighted> diffs, Path output, Policies.NonFinite nonFinite) {
    List<String> problems = new ArrayList<>();
    try (Opened opened = Opened.of(diffs, problems)) {
      TransferException.refuse(problems);
      StoredDiff first = opened.diffs.get(0);
      for (StoredDiff diff : opened.diffs) {
        Set<String> all = new HashSet<>(diff.tensors().keySet());
        all.addAll(first.tensors().keySet());
        for (String name : all) {
          TensorReader.Info one = first.tensors().get(name);
          TensorReader.Info other = diff.tensors().get(name);
          if (one == null || other == null || !one.shape().equals(other.shape())) {
            problems.add("'" + name + "' has not the same shape in all diffs");
          }
        }
      }
      problems.addAll(
          DirectoryWriter.problems(
              output,
              Float.BYTES
                  * first.tensors().values().stream()
                      .mapToLong(TensorReader.Info::elements)
                      .sum()));
      TransferException.refuse(problems);
      List<SafetensorsHeader.Tensor> layout = new ArrayList<>();
      for (TensorReader.Info tensor : first.tensors().values()) {
        layout.add(
            new SafetensorsHeader.Tensor(
                tensor.name(), "F32", tensor.shape(), tensor.elements() * Float.BYTES));
        for (StoredDiff.Side side : StoredDiff.Side.values()) {
          long zeros = opened.negativeZeros(tensor, side, (places, count) -> {});
          if (zeros > 0) {
            layout.add(DiffExtraction.placesOf(tensor.name(), side, zeros));
          }
        }
      }
      try (DirectoryWriter out = new DirectoryWriter(output, layout, DirectoryWriter.OF_DIFF)) {
        UnfitTensors unfit = new UnfitTensors();
        for (TensorReader.Info tensor : first.tensors().values()) {
          if (unfit.isEnough()) {
            break;
          }
          for (long at = 0; at < tensor.elements(); at += TensorReader.PIECE) {
            int n = (int) Math.min(TensorReader.PIECE, tensor.elements() - at);
            double[] sum = new double[n];
            opened.sum(tensor.name(), at, n, sum);
            if (unfit.add(
                opened.unfit(
                    Optional.empty(), tensor.name(), ElementType.F32, at, n, sum, nonFinite))) {
              break;
            }
            if (unfit.isNone()) {
              out.write(ElementType.F32, sum, n);
            }
          }
          for (StoredDiff.Side side : StoredDiff.Side.values()) {
            if (unfit.isNone()) {
              opened.negativeZeros(tensor, side, out::writeI64);
            }
          }
        }
        unfit.refuse();
        out.publish(DirectoryWriter.textsOf(first.reader()));
      }
    }
  }

  private static void rethrowOfEnvironment(TransferException e) {
    if (TransferException.isOfEnvironment(e)) {
      throw e; // a store that does not answer says nothing about what is wrong
    }
  }

  /** Takes some of a tensor's places. */
  private interface PlacesTaker {
    void take(long[] places, int count);
  }

  private static final class Opened implements AutoCloseable {
    private final List<StoredDiff> diffs = new ArrayList<>();
    private final List<Double> weights = new ArrayList<>();
    private final double[] delta = new double[TensorReader.PIECE];

    /**
     * Opens diffs.
     *
     * @param problems gets what is wrong with each of them
     */
    static Opened of(List<Weighted> diffs, List<String> problems) {
      if (diffs.isEmpty()) {
        problems.add("no diff vector was given");
      }
      Opened opened = new Opened();
      try {
        for (Weighted one : diffs) {
          if (!Double.isFinite(one.weight())) {
            problems.add(
                "the weight of " + one.diff() + " is " + one.weight() + ", not a finite number");
          }
          try {
            opened.diffs.add(StoredDiff.open(one.diff()));
            opened.weights.add(one.weight());
          } catch (TransferException e) {
            rethrowOfEnvironment(e);
            problems.addAll(e.reasons());
          }
        }
        return opened;
      } catch (RuntimeException e) {
        opened.close();
        throw e;
      }
    }

    /** Whether nothing is added: not even the bits of what is no number may change then. */
    boolean isNothing() {
      return weights.stream().allMatch(weight -> weight == 0);
    }

    void add(String tensor, long from, int n, double[] sum) {
      for (int k = 0; k < diffs.size(); k++) {
        double weight = weights.get(k);
        if (weight == 0) {
          continue; // 0.0 times anything would turn a -0.0 of the model into 0.0
        }
        diffs.get(k).read(tensor, from, n, delta);
        for (int i = 0; i < n; i++) {
          sum[i] += weight * delta[i];
        }
        Optional<StoredDiff.Side> side = StoredDiff.Side.of(weight);
        if (side.isPresent()) {
          diffs
              .get(k)
              .negativeZeros(
                  tensor,
                  side.get(),
                  from,
                  n,
                  i -> {
                    if (sum[i] == 0) {
                      sum[i] = -0.;
                    }
                  });
        }
      }
    }

    /**
     * The diffs alone. A sum that is zero is -0.0 where it leads to a negative zero, so that the
     * way back from there begins with {@code -0.0 - -0.0}, which is 0.0; but not where all terms
     * are 0.0, which on the way back leave the sign as it is.
     */
    void sum(String tensor, long from, int n, double[] sum) {
      Arrays.fill(sum, 0, n, isNothing() ? 0. : -0.); // -0.0 changes no bit of what is added to it
      boolean[] positive = new boolean[n];
      Arrays.fill(positive, true);
      for (int k = 0; k < diffs.size(); k++) {
        double weight = weights.get(k);
        if (weight != 0) {
          diffs.get(k).read(tensor, from, n, delta);
          for (int i = 0; i < n; i++) {
            double term = weight * delta[i];
            sum[i] += term;
            positive[i] &= term == 0 && !DiffExtraction.isNegativeZero(term);
          }
        }
      }
      boolean[] zeros = negativeZeros(tensor, StoredDiff.Side.FINE_TUNED, from, n);
      for (int i = 0; i < n; i++) {
        if (zeros[i] && sum[i] == 0 && !positive[i]) {
          sum[i] = -0.;
        }
      }
    }

    /** Takes the places of all negative zeros of a tensor; returns how many there are. */
    long negativeZeros(TensorReader.Info tensor, StoredDiff.Side side, PlacesTaker taker) {
      long all = 0;
      if (!hasNegativeZeros(tensor.name())) {
        return all;
      }
      for (long at = 0; at < tensor.elements(); at += TensorReader.PIECE) {
        int n = (int) Math.min(TensorReader.PIECE, tensor.elements() - at);
        boolean[] zeros = negativeZeros(tensor.name(), side, at, n);
        long[] places = new long[n];
        int count = 0;
        for (int i = 0; i < n; i++) {
          if (zeros[i]) {
            places[count++] = at + i;
          }
        }
        taker.take(places, count);
        all += count;
      }
      return all;
    }

    private boolean hasNegativeZeros(String tensor) {
      return diffs.stream()
          .anyMatch(
              diff ->
                  Arrays.stream(StoredDiff.Side.values())
                      .anyMatch(side -> diff.negativeZeros(tensor, side) > 0));
    }

    /**
     * Where the sum of the diffs leads to a negative zero that it would not give back: the last
     * diff does, or it adds -0.0 to what those before it lead to. On the way back, from the sum to
     * the base, the first diff is the last.
     */
    private boolean[] negativeZeros(String tensor, StoredDiff.Side side, long from, int n) {
      boolean[] zeros = new boolean[n];
      if (!hasNegativeZeros(tensor)) {
        return zeros;
      }
      boolean back = side == StoredDiff.Side.BASE;
      for (int step = 0; step < diffs.size(); step++) {
        int k = back ? diffs.size() - 1 - step : step;
        double weight = back ? -weights.get(k) : weights.get(k);
        if (weight == 0) {
          continue;
        }
        diffs.get(k).read(tensor, from, n, delta);
        for (int i = 0; i < n; i++) {
          zeros[i] &= DiffExtraction.isNegativeZero(weight * delta[i]);
        }
        Optional<StoredDiff.Side> leadsTo = StoredDiff.Side.of(weight);
        if (leadsTo.isPresent()) {
          diffs.get(k).negativeZeros(tensor, leadsTo.get(), from, n, i -> zeros[i] = true);
        }
      }
      return zeros;
    }

    /**
     * The first of some sums that is not finite in a type: since it is too large for it, or since
     * something that was added is not finite, where the policy refuses that.
     */
    Optional<String> unfit(
        Optional<TensorReader> model,
        String tensor,
        ElementType type,
        long from,
        int n,
        double[] sum,
        Policies.NonFinite policy) {
      for (int i = 0; i < n; i++) {
        if (Double.isFinite(DirectoryWriter.rounded(type, sum[i]))) {
          continue;
        }
        Optional<String> added = notFinite(model, tensor, from + i);
        String where = "tensor '" + SafetensorsFile.printable(tensor) + "', element " + (from + i);
        if (added.isEmpty()) {
          return Optional.of(
              where + ": the sum " + sum[i] + " does not fit " + type + "; give smaller weights");
        }
        if (policy == Policies.NonFinite.FAIL) {
          return Optional.of(
              where + " is " + added.get() + "; the policy non-finite propagate would let it pass");
        }
      }
      return Optional.empty();
    }

    /** What is not finite of all that is added up to one element, and in what. */
    private Optional<String> notFinite(Optional<TensorReader> model, String tensor, long at) {
      double[] one = new double[1];
      model.ifPresent(reader -> reader.read(tensor, at, 1, one));
      if (!Double.isFinite(one[0])) {
        return Optional.of(one[0] + " in the model");
      }
      for (int k = 0; k < diffs.size(); k++) {
        diffs.get(k).read(tensor, at, 1, one);
        if (weights.get(k) != 0 && !Double.isFinite(one[0])) {
          return Optional.of(one[0] + " in the diff " + diffs.get(k).reader().directory());
        }
      }
      return Optional.empty();
    }

    @Override
    public void close() {
      diffs.forEach(StoredDiff::close);
    }
  }
}
