package dev.whence.influence.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.influence.index.IndexManifest;
import dev.whence.influence.index.ShardFile;
import dev.whence.runtime.config.Settings;
import dev.whence.runtime.models.ModelLoadException;
import dev.whence.runtime.worker.EnvironmentException;
import dev.whence.schemas.avro.ModelAncestor;
import dev.whence.schemas.avro.ModelKind;
import dev.whence.schemas.avro.ModelRelease;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Which of several indexes is asked about a model; manifests are all that it takes. */
class ModelChoiceTest {
  private static final Instant NOW = Instant.parse("2026-11-20T10:00:00Z");

  @TempDir private Path indexes;

  /** Of a base, and of its fine-tune, which is newer. */
  @BeforeEach
  void write() throws Exception {
    index("pretraining", "base", NOW);
    index("fine-tuning", "own", NOW.plusSeconds(60));
  }

  private void index(String name, String model, Instant made) throws Exception {
    Path directory = Files.createDirectories(indexes.resolve(name));
    Path manifest =
        Files.writeString(
            directory.resolve("index.json"),
            """
            {"format": "%s", "modelName": "%s", "model": "%s", "factors": "f", "measure": "log-likelihood",
             "lambda0": "0.1x", "buckets": 64, "sketchSeed": 1, "corpus": "c-%s", "shards": 1,
             "checksums": [{"checksum": "%s", "documents": 1}]}
            """
                .formatted(ShardFile.FORMAT, model, model, name, name));
    Files.setLastModifiedTime(manifest, FileTime.from(made));
  }

  private String asked(String... more) throws Exception {
    return asked("own", Set.of("own", "base"), more);
  }

  private String asked(String digest, Set<String> bases, String... more) throws Exception {
    return asked(
        new ModelChoice(Path.of("m"), Optional.of(digest), Optional.of(bases), List.of()),
        config(more));
  }

  private static String asked(ModelChoice choice, InfluenceConfig config) throws Exception {
    return String.valueOf(choice.index(config).directory().getFileName());
  }

  private InfluenceConfig config(String... more) {
    Map<String, String> settings = new HashMap<>();
    settings.put("kafka.bootstrap.servers", "b:1");
    settings.put("registry.url", "http://r");
    settings.put("model", "m");
    settings.put("indexes", indexes.toString());
    for (int i = 0; i < more.length; i += 2) {
      settings.put(more[i], more[i + 1]);
    }
    return InfluenceConfig.read(Settings.of(settings));
  }

  @Test
  void aNewerIndexOfTheModelItselfMakesNoTwoStageQueryAQueryInOneStage() throws Exception {
    assertThat(asked()).isEqualTo("pretraining");
    assertThat(asked("query.method", "single-stage")).isEqualTo("fine-tuning");
  }

  @Test
  void digestsAreTheSameInLettersOfEitherCase() throws Exception {
    assertThat(asked("OWN", Set.of("OWN", "Base"))).isEqualTo("pretraining");
    index("later", "BASE", NOW.plusSeconds(30));
    assertThat(asked()).isEqualTo("later");
  }

  @Test
  void ofIndexesOfOneModelTheNewestIsAskedByWhenItWasMade() throws Exception {
    index("later", "base", NOW.plusSeconds(30));
    Files.createFile(indexes.resolve("pretraining/rejects-1-of-1.jsonl")); // changes the directory
    assertThat(asked()).isEqualTo("later");
  }

  @Test
  void anIndexThatIsNamedIsAskedWhateverIsNewer() throws Exception {
    String byPath = indexes.resolve("fine-tuning").toString();
    String byDigest = IndexManifest.read(indexes.resolve("fine-tuning")).digest();
    assertThat(asked("query.index", byPath)).isEqualTo("fine-tuning");
    assertThat(asked("query.index", byDigest)).isEqualTo("fine-tuning");
    assertThatThrownBy(() -> asked("query.index", indexes.resolve("other").toString()))
        .isInstanceOf(ModelLoadException.class)
        .hasMessageStartingWith("query.index is " + indexes.resolve("other") + ", but no index");
  }

  /** A directory in a file's place can not be read, as a file on a disk that fails. */
  @Test
  void whichIndexIsAskedIsNotSaidWhileOneCanNotBeReadUnlessItIsNamed() throws Exception {
    Files.createDirectories(indexes.resolve("unread/index.json"));
    assertThatThrownBy(this::asked)
        .isInstanceOf(EnvironmentException.class)
        .hasMessageContaining("unread/index.json could not be read");
    String named = indexes.resolve("fine-tuning").toString();
    assertThat(asked("query.index", named)).isEqualTo("fine-tuning");
  }

  @Test
  void anIndexWhoseManifestIsNoneIsPassedOver() throws Exception {
    Files.writeString(
        Files.createDirectories(indexes.resolve("damaged")).resolve("index.json"), "{no");
    assertThat(asked()).isEqualTo("pretraining");
  }

  private static ModelRelease release(ModelKind kind, String... ancestors) {
    List<ModelAncestor> lineage = new ArrayList<>();
    for (String relation : ancestors) {
      lineage.add(new ModelAncestor("the " + relation, "OF-" + relation, relation));
    }
    return ModelRelease.newBuilder()
        .setModelId("m")
        .setKind(kind)
        .setLocation("m")
        .setDigest("own")
        .setLineage(lineage)
        .build();
  }

  /** As transfers release them: M = T + lambda (F - B) was pretrained as T was, not as B was. */
  @Test
  void aTransferredModelComesFromItsTargetAndNotFromTheOldBase(@TempDir Path models)
      throws Exception {
    Files.createDirectory(models.resolve("m"));
    index("of-the-old-base", "of-base", NOW.plusSeconds(90));
    index("of-the-target", "of-target", NOW.plusSeconds(30));
    InfluenceConfig config = config("models.roots", models.toString());

    ModelChoice transferred =
        ModelChoice.of(release(ModelKind.TRANSFERRED, "fine-tuned", "base", "target"), config);
    assertThat(transferred.bases()).contains(Set.of("own", "of-target"));
    assertThat(asked(transferred, config)).isEqualTo("of-the-target");

    for (ModelKind kind : List.of(ModelKind.FINE_TUNED, ModelKind.UNKNOWN)) {
      ModelChoice fineTuned = ModelChoice.of(release(kind, "base"), config);
      assertThat(fineTuned.bases()).contains(Set.of("own", "of-base"));
      assertThat(asked(fineTuned, config)).isEqualTo("of-the-old-base");
    }
  }
}
