package dev.whence.influence.stage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.influence.SampleCorpus;
import dev.whence.influence.TinyFactors;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.index.IndexManifest;
import dev.whence.influence.index.ShardFile;
import dev.whence.influence.model.LayerSelection;
import dev.whence.influence.model.TappedModel;
import dev.whence.runtime.config.Settings;
import dev.whence.samples.BundledModels;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FineTuningFactorsTest {
  @TempDir private Path directory;

  /** Those of other layers do not go together with the index, and come first by name. */
  @Test
  void ofSeveralFactorsOfAModelThoseOfTheIndexedLayersAreTaken() throws Exception {
    Path corpus =
        SampleCorpus.write(
            directory.resolve("corpus.jsonl"), TinyFactors.documents().subList(0, 8));
    Path pretraining;
    try (TappedModel base = TinyFactors.base()) {
      pretraining =
          TinyFactors.compute(base, corpus, directory.resolve("pretraining"), TinyFactors.OPTIONS);
    }
    Path factors = Files.createDirectory(directory.resolve("factors"));
    LayerSelection others = new LayerSelection("layers\\.0\\.");
    try (TappedModel chat =
        TappedModel.open(BundledModels.unpack("tiny-chat"), others, TinyFactors.CPU)) {
      TinyFactors.compute(
          chat, corpus, factors.resolve("a-others"), TinyFactors.OPTIONS.withSelection(others));
    }
    String digest;
    try (TappedModel chat = TinyFactors.chat()) {
      digest = chat.digest();
      TinyFactors.compute(chat, corpus, factors.resolve("b-indexed"), TinyFactors.OPTIONS);
    }
    Path index = Files.createDirectory(directory.resolve("index"));
    Files.writeString(
        index.resolve("index.json"),
        """
        {"format": "%s", "modelName": "tiny-base", "model": "m", "modelDigest": "base", "factors": "f",
         "factorsDigest": "%s", "measure": "log-likelihood", "lambda0": "0.1x", "buckets": 64,
         "sketchSeed": 1, "corpus": "c", "shards": 1,
         "checksums": [{"checksum": "1", "documents": 1}]}
        """
            .formatted(ShardFile.FORMAT, EkfacFactors.identity(pretraining).digest()));
    InfluenceConfig config =
        InfluenceConfig.read(
            Settings.of(
                Map.of(
                    "kafka.bootstrap.servers", "b:1",
                    "registry.url", "http://r",
                    "model", "m",
                    "indexes", index.toString(),
                    "factors", factors.toString())));
    ModelChoice choice =
        new ModelChoice(Path.of("m"), Optional.of(digest), Optional.empty(), List.of());
    assertThat(choice.fineTuning(config, digest, IndexManifest.read(index), pretraining))
        .contains(factors.resolve("b-indexed"));
  }
}
