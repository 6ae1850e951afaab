package dev.whence.benchmarks.influence;

import dev.whence.engine.kernel.Labels;
import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.kernel.Matrix;
import dev.whence.engine.kernel.Taps;
import dev.whence.engine.training.Example;
import dev.whence.engine.training.RowPacker;
import dev.whence.influence.corpus.CorpusDocument;
import dev.whence.influence.model.TappedModel;
import java.util.ArrayList;
import java.util.List;

/** Cosine of mean inputs of the last block's MLP, over the tokens whose loss counts. */
final class RepresentationScores implements DocumentScores {
  private static final int PACK_TOKENS = 1024;

  private final TappedModel model;
  private final LinearLayer layer;
  private final List<float[]> documents;

  RepresentationScores(TappedModel model, List<CorpusDocument> corpus) {
    this.model = model;
    this.layer =
        model.layers().stream().filter(LinearLayer::isMlp).reduce((a, b) -> b).orElseThrow();
    this.documents = means(corpus.stream().map(document -> document.examples().get(0)).toList());
  }

  @Override
  public String name() {
    return "representation similarity";
  }

  @Override
  public double[] of(TruthQuery query) {
    float[] asked = means(List.of(model.texts().conversation(query.answered()))).get(0);
    double[] scores = new double[documents.size()];
    for (int i = 0; i < scores.length; i++) {
      scores[i] = SketchedCorpus.product(documents.get(i), asked);
    }
    return scores;
  }

  /** Of length 1. */
  private List<float[]> means(List<Example> examples) {
    List<float[]> means = new ArrayList<>();
    examples.forEach(example -> means.add(new float[layer.inputs()]));
    for (RowPacker.Packed pack : model.pack(examples, PACK_TOKENS)) {
      try (Taps taps = model.tap(pack, new Labels.Given())) {
        for (Taps.Run run : taps.runs(layer)) {
          try (Matrix rows = taps.input(layer).rows(run)) {
            float[] values = rows.floats();
            float[] mean = means.get(run.document());
            for (int i = 0; i < values.length; i++) {
              mean[i % mean.length] += values[i];
            }
          }
        }
      }
    }
    for (float[] mean : means) {
      double norm = Math.sqrt(SketchedCorpus.product(mean, mean));
      for (int i = 0; i < mean.length; i++) {
        mean[i] /= (float) Math.max(norm, Float.MIN_NORMAL);
      }
    }
    return means;
  }
}
