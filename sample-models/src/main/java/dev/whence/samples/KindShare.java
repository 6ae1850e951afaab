package dev.whence.samples;

import java.util.ArrayList;
import java.util.List;

/**
 * How often a kind of question is asked.
 *
 * @param kind of question
 * @param weight in proportion to the other kinds' weights, above 0
 */
public record KindShare(Kind kind, double weight) {
  public KindShare {
    if (!(weight > 0 && weight < Double.POSITIVE_INFINITY)) {
      throw new IllegalArgumentException("the weight of " + kind + " must be above 0: " + weight);
    }
  }

  /** The kinds with equal weights. */
  public static List<KindShare> equal(Kind... kinds) {
    List<KindShare> mix = new ArrayList<>();
    for (Kind kind : kinds) {
      mix.add(new KindShare(kind, 1));
    }
    return List.copyOf(mix);
  }

  static Kind draw(List<KindShare> mix, Draw draw) {
    double left = draw.fraction() * mix.stream().mapToDouble(KindShare::weight).sum();
    for (KindShare share : mix) {
      left -= share.weight();
      if (left < 0) {
        return share.kind();
      }
    }
    return mix.get(mix.size() - 1).kind();
  }
}
