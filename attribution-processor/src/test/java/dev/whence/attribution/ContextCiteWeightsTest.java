package dev.whence.attribution;

import static dev.whence.attribution.toy.Conversations.document;
import static dev.whence.attribution.toy.Conversations.instruction;
import static dev.whence.attribution.toy.Conversations.question;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.attribution.AttributionResult.SourceScore;
import dev.whence.attribution.method.MethodOptions;
import dev.whence.attribution.toy.Conversations;
import dev.whence.attribution.toy.ForwardingScorer;
import dev.whence.attribution.toy.ToyTokenizer;
import dev.whence.attribution.toy.ToyTransformer;
import dev.whence.conversation.Conversation;
import dev.whence.engine.Branch;
import dev.whence.engine.Scorer;
import dev.whence.engine.Trunk;
import dev.whence.engine.View;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/**
 * ContextCite on a model whose response is as likely as the sources that it sees say: the logit of
 * each statement's probability is a sum of one number per source. Its weights have to be the
 * optimum of
 *
 * <pre>
 *   |y - b - X w|^2 / (2 m) + 0.01 |w|_1,   y = logit p / |r|,   score = |r| w
 * </pre>
 *
 * with the columns of X scaled to unit variance: the correlation of each with the residual is 0.01
 * times the sign of its weight, or at most 0.01 where that is 0.
 */
class ContextCiteWeightsTest {
  private static final double ALPHA = 0.01;
  private static final int MASKS = 64;
  private static final List<String> SENTENCES =
      List.of(
          "The cat sat on the mat. ",
          "The dog ran off. ",
          "It saw 100 birds. ",
          "Paris is in France. ",
          "Berlin is not. ",
          "So it goes.");

  /** Logit of each statement's probability: alone, and what each sentence adds. */
  private static final double[] ALONE = {0.3, -0.5};

  private static final double[][] ADDS = {
    {2.0, 0.9, 0.0, -0.4, 0.01, 0.6}, {0.0, -0.02, 1.4, 1.0, 0.5, 1.3},
  };

  private static final Conversation CONVERSATION =
      Conversations.of(
          "The cat. It is on the mat.",
          "length",
          instruction("Answer.\n\n"),
          document("d", String.join("", SENTENCES)),
          question("\n\nWhere is the cat?"));

  /** Notes which sentences each branch of its first call has. */
  private static final class Summing extends ForwardingScorer {
    final int[] lengths;
    List<boolean[]> seen = List.of();

    Summing(Scorer model, int[] lengths) {
      super(model);
      this.lengths = lengths;
    }

    @Override
    public List<double[]> score(Trunk trunk, List<Branch> branches) {
      List<boolean[]> has = new ArrayList<>();
      for (Branch branch : branches) {
        StringBuilder text = new StringBuilder();
        for (View view : branch.views()) {
          text.append(decode(Arrays.copyOfRange(trunk.tokens(), view.from(), view.to())));
        }
        text.append(decode(branch.tokens()));
        has.add(has(text.toString()));
      }
      if (seen.isEmpty()) {
        seen = has;
      }
      return has.stream().map(this::logProbs).toList();
    }

    private String decode(int[] tokens) {
      return tokenizer().decode(tokens, false);
    }

    private static boolean[] has(String text) {
      boolean[] has = new boolean[SENTENCES.size()];
      for (int i = 0; i < has.length; i++) {
        has[i] = text.contains(SENTENCES.get(i).strip());
      }
      return has;
    }

    /** Each token has an equal part of its statement's. */
    private double[] logProbs(boolean[] has) {
      double[] logProbs = new double[Arrays.stream(lengths).sum()];
      int at = 0;
      for (int j = 0; j < lengths.length; j++) {
        Arrays.fill(logProbs, at, at + lengths[j], Math.log(probability(has, j)) / lengths[j]);
        at += lengths[j];
      }
      return logProbs;
    }

    @Override
    public Trunk trunk(int[] tokens, int scoredFrom) {
      Trunk of = super.trunk(tokens, scoredFrom);
      return new Trunk() {
        @Override
        public int length() {
          return of.length();
        }

        @Override
        public int[] tokens() {
          return of.tokens();
        }

        @Override
        public int scoredFrom() {
          return of.scoredFrom();
        }

        @Override
        public double[] logProbs() {
          return Summing.this.logProbs(has(decode(tokens)));
        }

        @Override
        public long bytes() {
          return of.bytes();
        }

        @Override
        public void close() {
          of.close();
        }
      };
    }
  }

  private static double logit(boolean[] has, int statement) {
    double logit = ALONE[statement];
    for (int i = 0; i < has.length; i++) {
      logit += has[i] ? ADDS[statement][i] : 0;
    }
    return logit;
  }

  private static double probability(boolean[] has, int statement) {
    return 1 / (1 + Math.exp(-logit(has, statement)));
  }

  @Test
  void theScoresAreTheOptimumOfTheSurrogateTimesTheTokensOfTheStatement()
      throws NotScorableException {
    Scorer toy = new ToyTransformer(new ToyTokenizer(ToyTokenizer.LLAMA3, 200), 4096, 7);
    AttributionOptions options =
        new AttributionOptions(
            MethodOptions.of("contextcite").withMasks(MASKS, 11),
            Granularity.SENTENCE,
            0,
            false,
            "");
    int[] lengths =
        new TaskReader(toy, options).read(CONVERSATION).task().response().tokensByStatement();
    assertThat(lengths).hasSize(2);
    assertThat(lengths[0]).isNotEqualTo(lengths[1]);
    Summing scorer = new Summing(toy, lengths);
    AttributionResult result = new Attributor(scorer, options).attribute(CONVERSATION);
    assertThat(result.sources()).extracting(SourceScore::text).containsExactlyElementsOf(SENTENCES);

    // A mask that keeps everything is the prompt itself: no branch is run for it.
    List<boolean[]> masks = new ArrayList<>(scorer.seen);
    boolean[] all = new boolean[SENTENCES.size()];
    Arrays.fill(all, true);
    while (masks.size() < MASKS) {
      masks.add(all);
    }
    long kept = masks.stream().mapToLong(ContextCiteWeightsTest::count).sum();
    assertThat(kept / (double) (MASKS * SENTENCES.size())).isBetween(0.4, 0.6);

    int zeros = 0;
    for (int j = 0; j < lengths.length; j++) {
      double[] y = new double[MASKS];
      double[] w = new double[SENTENCES.size()];
      for (int k = 0; k < MASKS; k++) {
        double p = probability(masks.get(k), j);
        assertThat(p).isBetween(0.3, 0.99);
        y[k] = (Math.log(p) - Math.log1p(-p)) / lengths[j];
      }
      for (int i = 0; i < w.length; i++) {
        w[i] = result.matrix().get(i).get(j) / lengths[j];
      }
      zeros += assertOptimal(masks, y, w);
    }
    assertThat(zeros).isBetween(1, 6); // alpha takes small weights away, and only those
  }

  private static long count(boolean[] mask) {
    int kept = 0;
    for (boolean one : mask) {
      kept += one ? 1 : 0;
    }
    return kept;
  }

  /** Returns how many weights are 0. */
  private static int assertOptimal(List<boolean[]> masks, double[] y, double[] w) {
    int m = masks.size();
    double[] residual = y.clone();
    for (int k = 0; k < m; k++) {
      for (int i = 0; i < w.length; i++) {
        residual[k] -= masks.get(k)[i] ? w[i] : 0;
      }
    }
    double offset = Arrays.stream(residual).average().orElseThrow();
    int zeros = 0;
    for (int i = 0; i < w.length; i++) {
      int column = i;
      double mean = masks.stream().mapToDouble(mask -> mask[column] ? 1 : 0).sum() / m;
      double deviation = Math.sqrt(mean * (1 - mean));
      double correlation = 0;
      for (int k = 0; k < m; k++) {
        double scaled = ((masks.get(k)[i] ? 1 : 0) - mean) / deviation;
        correlation += scaled * (residual[k] - offset) / m;
      }
      if (w[i] == 0) {
        zeros++;
        assertThat(Math.abs(correlation)).isLessThanOrEqualTo(ALPHA + 1e-7);
      } else {
        assertThat(correlation).isCloseTo(Math.signum(w[i]) * ALPHA, within(1e-6));
      }
    }
    return zeros;
  }
}
