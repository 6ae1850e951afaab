package dev.whence.influence;

import dev.whence.engine.EngineOptions;
import dev.whence.engine.kernel.TorchRuntime;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.ekfac.FactorsJob;
import dev.whence.influence.model.LayerSelection;
import dev.whence.influence.model.TappedModel;
import dev.whence.samples.BundledModels;
import dev.whence.samples.Document;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** Factors of tiny-base's last block, of a few documents: cheap enough for many tests. */
public final class TinyFactors {
  public static final EngineOptions CPU = EngineOptions.defaults().withDevice("cpu");
  public static final LayerSelection LAYERS = new LayerSelection("layers\\.1\\.");
  public static final FactorsJob.Options OPTIONS =
      FactorsJob.Options.DEFAULT.withSelection(LAYERS).withPackTokens(256);

  private TinyFactors() {}

  public static TappedModel base() throws IOException {
    TappedModel model = TappedModel.open(BundledModels.unpack("tiny-base"), LAYERS, CPU);
    TorchRuntime.workAlone(); // matrices are too small to be shared by threads
    return model;
  }

  public static TappedModel chat() throws IOException {
    return TappedModel.open(BundledModels.unpack("tiny-chat"), LAYERS, CPU);
  }

  public static List<Document> documents() {
    return SampleCorpus.tiny().subList(0, 40);
  }

  /** Runs the job to its end. */
  public static Path compute(
      TappedModel model, Path corpus, Path output, FactorsJob.Options options) {
    if (!new FactorsJob(model, new CorpusFile(corpus), output, options)
        .run(FactorsJob.Listener.NONE)) {
      throw new AssertionError("the job is not complete");
    }
    return output;
  }
}
