package dev.whence.transfer.diff;

import dev.whence.transfer.TransferException;
import dev.whence.transfer.merge.TensorReader;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What is in a diff vector: the Euclidean norm of each tensor and layer, the largest element, and
 * the cosine with another diff, {@code <a, b> / (|a| |b|)}, which says whether two fine-tunings
 * went the same way. Reads the diff once, in pieces.
 *
 * @param tensors by name
 * @param layers the same over all tensors of a layer; those outside of layers under {@code other}
 * @param total over everything
 */
public record DiffInspection(List<Line> tensors, List<Line> layers, Line total) {
  private static final Pattern LAYER = Pattern.compile("(?:^|\\.)(?:layers|h)\\.([0-9]{1,6})\\.");

  /**
   * Figures of some elements.
   *
   * @param norm Euclidean
   * @param rms norm divided by the root of the number of elements
   * @param largest absolute value
   * @param exceptions that are stored in a wider type
   * @param cosine with the other diff, if one was given and neither is zero
   */
  public record Line(
      String name,
      long elements,
      double norm,
      double rms,
      double largest,
      long exceptions,
      Optional<Double> cosine) {}

  public DiffInspection {
    tensors = List.copyOf(tensors);
    layers = List.copyOf(layers);
  }

  /** Sums over elements. */
  private static final class Sums {
    private long elements;
    private double squares;
    private double otherSquares;
    private double products;
    private double largest;
    private long exceptions;

    void add(Sums other) {
      elements += other.elements;
      squares += other.squares;
      otherSquares += other.otherSquares;
      products += other.products;
      largest = Math.max(largest, other.largest);
      exceptions += other.exceptions;
    }

    Line line(String name, boolean compared) {
      double norm = Math.sqrt(squares);
      double both = norm * Math.sqrt(otherSquares);
      return new Line(
          name,
          elements,
          norm,
          elements == 0 ? 0 : norm / Math.sqrt((double) elements),
          largest,
          exceptions,
          compared && both > 0 ? Optional.of(products / both) : Optional.empty());
    }
  }

  /**
   * Inspects a diff.
   *
   * @param other to compare with
   * @throws TransferException if one of them is none, or they have other tensors
   */
  public static DiffInspection of(Path diff, Optional<Path> other) {
    try (StoredDiff one = StoredDiff.open(diff)) {
      if (other.isEmpty()) {
        return of(one, Optional.empty());
      }
      try (StoredDiff two = StoredDiff.open(other.get())) {
        return of(one, Optional.of(two));
      }
    }
  }

  private static DiffInspection of(StoredDiff diff, Optional<StoredDiff> other) {
    List<Line> tensors = new ArrayList<>();
    Map<String, Sums> layers = new TreeMap<>();
    Sums total = new Sums();
    for (TensorReader.Info tensor : diff.tensors().values()) {
      Sums sums = sums(diff, other, tensor);
      tensors.add(sums.line(tensor.name(), other.isPresent()));
      layers.computeIfAbsent(layer(tensor.name()), layer -> new Sums()).add(sums);
      total.add(sums);
    }
    List<Line> lines = new ArrayList<>();
    layers.forEach((layer, sums) -> lines.add(sums.line(layer, other.isPresent())));
    return new DiffInspection(tensors, lines, total.line("total", other.isPresent()));
  }

  /** Layers sort by number: their names are padded. */
  private static String layer(String tensor) {
    Matcher layer = LAYER.matcher(tensor);
    return layer.find() ? String.format("layer %4d", Integer.parseInt(layer.group(1))) : "other";
  }

  private static Sums sums(StoredDiff diff, Optional<StoredDiff> other, TensorReader.Info tensor) {
    if (other.isPresent()) {
      TensorReader.Info same = other.get().tensors().get(tensor.name());
      if (same == null || !same.shape().equals(tensor.shape())) {
        throw new TransferException(
            "'" + tensor.name() + "' has not the same shape in both diffs: no cosine");
      }
    }
    Sums sums = new Sums();
    sums.elements = tensor.elements();
    sums.exceptions = diff.exceptions(tensor.name());
    double[] a = new double[TensorReader.PIECE];
    double[] b = new double[TensorReader.PIECE];
    for (long at = 0; at < tensor.elements(); at += TensorReader.PIECE) {
      int n = (int) Math.min(TensorReader.PIECE, tensor.elements() - at);
      diff.read(tensor.name(), at, n, a);
      if (other.isPresent()) {
        other.get().read(tensor.name(), at, n, b);
      }
      for (int i = 0; i < n; i++) {
        sums.squares += a[i] * a[i];
        sums.otherSquares += b[i] * b[i];
        sums.products += a[i] * b[i];
        sums.largest = Math.max(sums.largest, Math.abs(a[i]));
      }
    }
    return sums;
  }
}
