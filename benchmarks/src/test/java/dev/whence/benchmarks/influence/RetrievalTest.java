package dev.whence.benchmarks.influence;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.index.BlockSketch;
import dev.whence.samples.Document;
import dev.whence.samples.StatedFact.Form;
import dev.whence.samples.recipes.Recipe;
import dev.whence.samples.recipes.Recipes;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

class RetrievalTest {
  private static final Recipe TINY = Recipes.named("tiny-base").orElseThrow();
  private static final List<Document> DOCUMENTS = Recipes.documents(TINY);
  private static final List<TruthQuery> QUERIES =
      KnownTruth.stated(TINY.world().get(), DOCUMENTS, 12);

  private record Scores(String name, java.util.function.Function<TruthQuery, double[]> by)
      implements DocumentScores {
    @Override
    public double[] of(TruthQuery query) {
      return by.apply(query);
    }
  }

  private static double[] knowing(TruthQuery query, double forTruth) {
    double[] scores = new double[DOCUMENTS.size()];
    for (int i = 0; i < scores.length; i++) {
      scores[i] = query.stating().containsKey(i) ? forTruth : i % 7;
    }
    return scores;
  }

  @Test
  void whoKnowsTheTruthFindsAllAndWhoShunsItNothing() {
    Retrieval best = Retrieval.of("best", new Scores("", q -> knowing(q, 100)), QUERIES);
    assertThat(best.hit().share()).isEqualTo(1);
    assertThat(best.first().share()).isEqualTo(1);
    assertThat(best.recall()).isEqualTo(1);
    Retrieval worst = Retrieval.of("worst", new Scores("", q -> knowing(q, -100)), QUERIES);
    assertThat(worst.hit().share()).isZero();
    assertThat(worst.recall()).isZero();
    assertThat(worst.recallByForm().values()).containsOnly(0.0);
  }

  @Test
  void documentsOfAQueryStateItsFactInTheFormsThatAreCounted() {
    assertThat(QUERIES).hasSizeGreaterThan(5);
    for (TruthQuery query : QUERIES) {
      query
          .stating()
          .forEach(
              (document, forms) -> {
                Set<Form> stated = new HashSet<>();
                DOCUMENTS.get(document).facts().stream()
                    .filter(fact -> fact.fact().equals(query.fact()))
                    .forEach(fact -> stated.add(fact.form()));
                assertThat(forms).isEqualTo(stated).isNotEmpty();
              });
    }
  }

  @Test
  void theProjectionSolvesItsEquation() {
    int n = 40;
    int k = 64;
    Random random = new Random(1);
    float[][] vectors = new float[n][k];
    double[] norms = new double[n];
    double mean = 0;
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < k; j++) {
        vectors[i][j] = (float) random.nextGaussian();
      }
      norms[i] = Math.sqrt(SketchedCorpus.product(vectors[i], vectors[i]));
      mean += norms[i] * norms[i] / n;
    }
    float[] query = new float[k];
    for (int j = 0; j < k; j++) {
      query[j] = (float) random.nextGaussian();
    }
    SketchedCorpus corpus =
        new SketchedCorpus(Damping.DEFAULT, new BlockSketch(k, 1), vectors, norms);
    double[] x = new TrakScores(corpus, asked -> query).of(QUERIES.get(0));
    double[] right = corpus.products(query);
    for (int i = 0; i < n; i++) {
      double left = 0.1 * mean * x[i];
      for (int j = 0; j < n; j++) {
        left += SketchedCorpus.product(vectors[i], vectors[j]) * x[j];
      }
      assertThat(left).isCloseTo(right[i], within(0.5));
    }
  }

  /** Where the change is the sum of what documents do, the sum of that is a perfect prediction. */
  @Test
  void whoKnowsWhatEachDocumentDoesHasAScoreOfOne() {
    Random random = new Random(2);
    double[][] effects = new double[3][DOCUMENTS.size()];
    double[][] noise = new double[3][DOCUMENTS.size()];
    for (int q = 0; q < 3; q++) {
      for (int i = 0; i < DOCUMENTS.size(); i++) {
        effects[q][i] = random.nextGaussian();
        noise[q][i] = random.nextGaussian();
      }
    }
    List<Set<String>> kept = DatamodelBench.halves(DOCUMENTS, 40);
    double[][] found = new double[kept.size()][3];
    List<Integer> sizes = new ArrayList<>();
    for (int s = 0; s < kept.size(); s++) {
      sizes.add(kept.get(s).size());
      for (int q = 0; q < 3; q++) {
        for (int i = 0; i < DOCUMENTS.size(); i++) {
          found[s][q] += kept.get(s).contains(DOCUMENTS.get(i).id()) ? effects[q][i] : 0;
        }
      }
    }
    assertThat(sizes).containsOnly(DOCUMENTS.size() / 2);
    assertThat(new HashSet<>(kept)).hasSize(40);
    assertThat(DatamodelBench.lds(effects, DOCUMENTS, kept, found).mean())
        .isCloseTo(1, within(1e-9));
    assertThat(Math.abs(DatamodelBench.lds(noise, DOCUMENTS, kept, found).mean())).isLessThan(0.4);
  }
}
