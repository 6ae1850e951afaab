package dev.whence.influence.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.engine.EngineException;
import dev.whence.engine.weights.NamedModels;
import dev.whence.influence.ekfac.Damping;
import dev.whence.runtime.config.ConfigException;
import dev.whence.runtime.config.Settings;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class InfluenceConfigTest {
  private static InfluenceConfig read(Map<String, String> more) {
    Map<String, String> settings = new HashMap<>();
    settings.put("kafka.bootstrap.servers", "b:1");
    settings.put("registry.url", "http://r");
    settings.putAll(more);
    return InfluenceConfig.read(Settings.of(settings));
  }

  @Test
  void defaultsAskInTwoStagesAboutOneResponseInAHundred() {
    InfluenceConfig config = read(Map.of("model", "m", "indexes", "i"));
    assertThat(config.roles())
        .containsExactlyInAnyOrder(StageRole.QUERY, StageRole.SHARDS, StageRole.MERGE);
    assertThat(config.sampling().rate()).isEqualTo(0.01);
    assertThat(config.query().multiStage()).isTrue();
    assertThat(config.query().alpha()).isEqualTo(Damping.DEFAULT);
    assertThat(config.query().rerank()).isEqualTo(100);
    assertThat(config.query().index()).isEmpty();
    assertThat(config.query().deadline()).isEqualTo(Duration.ofMinutes(1));
    assertThat(config.inlineBytes()).isEqualTo(8 << 20);
    assertThat(config.openBytes()).isEqualTo(64 << 20);
    assertThat(config.heldBytes()).isEqualTo(Runtime.getRuntime().maxMemory() / 4);
  }

  @Test
  void modelsAreNamedAsOnTheCommandLineAndOneThatIsNowhereIsSaidWithAllElseThatIsWrong(
      @TempDir Path home) throws Exception {
    Path cached = home.resolve("hub/models--acme--base/snapshots/c0ffee");
    Files.createDirectories(cached);
    Files.createDirectories(home.resolve("hub/models--acme--base/refs"));
    Files.writeString(home.resolve("hub/models--acme--base/refs/main"), "c0ffee");
    NamedModels models =
        new NamedModels(
            name -> Optional.of(home.resolve("chat")).filter(path -> name.equals("chat-v1")),
            Map.of("HF_HOME", home.toString()));
    Map<String, String> settings =
        new HashMap<>(
            Map.of(
                "kafka.bootstrap.servers", "b:1",
                "registry.url", "http://r",
                "indexes", "i",
                "model", "chat-v1",
                "indexed-model", "acme/base"));
    InfluenceConfig config = InfluenceConfig.read(Settings.of(settings), models::resolve);
    assertThat(config.model()).contains(home.resolve("chat"));
    assertThat(config.indexedModel()).contains(cached);
    settings.put("model", "chat-v2");
    settings.put("query.top", "0");
    assertThatThrownBy(() -> InfluenceConfig.read(Settings.of(settings), models::resolve))
        .isInstanceOf(ConfigException.class)
        .hasMessageContaining("model: there is no model 'chat-v2'")
        .hasMessageContaining("query.top")
        .hasMessageNotContaining("neither model nor models.roots");
  }

  /** A release may take the place of the model, and shards answer with estimates without it. */
  @Test
  void aModelThatIsNowhereIsWrongOnlyWhereNothingCanBeAskedWithoutIt(@TempDir Path home)
      throws Exception {
    NamedModels models =
        new NamedModels(name -> Optional.empty(), Map.of("HF_HOME", home.toString()));
    Map<String, String> settings =
        new HashMap<>(
            Map.of(
                "kafka.bootstrap.servers", "b:1",
                "registry.url", "http://r",
                "indexes", "i",
                "model", "/models/gone",
                "indexed-model", "acme/gone"));
    for (Map<String, String> more :
        List.of(
            Map.of("roles", "query", "models.roots", "/models"), Map.of("roles", "shards,merge"))) {
      settings.putAll(more);
      InfluenceConfig config = InfluenceConfig.read(Settings.of(settings), models::resolve);
      assertThat(config.model()).contains(Path.of("/models/gone"));
      assertThat(config.indexedModel()).contains(Path.of("acme/gone"));
    }
    settings.put("model", "no\0path");
    assertThatThrownBy(() -> InfluenceConfig.read(Settings.of(settings), models::resolve))
        .isInstanceOf(ConfigException.class)
        .hasMessageContaining("model: 'no");
  }

  @Test
  void aMergerDoesNotLookForModels() {
    Map<String, String> settings =
        Map.of(
            "kafka.bootstrap.servers", "b:1",
            "registry.url", "http://r",
            "roles", "merge",
            "model", "acme/chat",
            "indexed-model", "acme/base");
    InfluenceConfig config =
        InfluenceConfig.read(
            Settings.of(settings),
            name -> {
              throw new AssertionError("looked for " + name);
            });
    assertThat(config.model()).isEmpty();
  }

  @Test
  void aModelThatCanNotBeLookedForNowIsNothingThatIsWrongInTheConfiguration() {
    Map<String, String> settings =
        new HashMap<>(
            Map.of(
                "kafka.bootstrap.servers", "b:1",
                "registry.url", "http://r",
                "indexes", "i",
                "model", "acme/chat"));
    Function<String, Path> failing =
        name -> {
          throw new EngineException(EngineException.Kind.ENVIRONMENT, "the cache can not be read");
        };
    assertThatThrownBy(() -> InfluenceConfig.read(Settings.of(settings), failing))
        .isInstanceOf(EngineException.class)
        .hasMessage("the cache can not be read");
    settings.put("roles", "shards");
    assertThat(InfluenceConfig.read(Settings.of(settings), failing).model())
        .contains(Path.of("acme/chat"));
  }

  @Test
  void aMergerNeedsNoModelAndNoIndex() {
    assertThat(read(Map.of("roles", "merge")).roles()).containsExactly(StageRole.MERGE);
  }

  @Test
  void allThatIsWrongIsSaidAtOnce() {
    assertThatThrownBy(
            () ->
                read(
                    Map.of(
                        "roles", "query,scan",
                        "query.alpha", "0",
                        "query.lambda", "-1e-7",
                        "query.top", "0",
                        "query.preselect", "tfidf:3",
                        "sampling.rate", "2",
                        "engine.device", "tpu",
                        "quary.top", "3")))
        .isInstanceOf(ConfigException.class)
        .hasMessageContaining("roles has 'scan', but knows query, shards and merge")
        .hasMessageContaining("query.alpha: A damping of 0.0 is none")
        .hasMessageContaining("query.lambda: A damping of -1.0E-7 is none")
        .hasMessageContaining("query.top")
        .hasMessageContaining("query.preselect: \"tfidf:3\" is no preselection")
        .hasMessageContaining("sampling.rate")
        .hasMessageContaining("engine.device")
        .hasMessageContaining("neither model nor models.roots")
        .hasMessageContaining("indexes is not set")
        .hasMessageContaining("did you mean query.top?");
  }

  @Test
  void whatOpenQueriesMayTakeHasBounds() {
    Map<String, String> merger = Map.of("roles", "merge");
    Function<String, InfluenceConfig> with =
        size -> read(Map.of("roles", "merge", "limits.open-bytes", size));
    assertThat(read(merger).openBytes()).isEqualTo(64 << 20);
    assertThat(with.apply("16MiB").openBytes()).isEqualTo(16 << 20);
    assertThat(with.apply("1GiB").openBytes()).isEqualTo(1 << 30);
    for (String size : List.of("16777215", "1025MiB", "0", "-1", "much")) {
      assertThatThrownBy(() -> with.apply(size))
          .isInstanceOf(ConfigException.class)
          .hasMessageContaining("limits.open-bytes is '" + size + "' in ")
          .hasMessageContaining(
              ", but must be a size from 16777216 to 1073741824 bytes, for example 16MiB");
    }
  }

  @Test
  void signsHaveNoMoreThanHalfOfTheHeap() {
    Function<String, InfluenceConfig> with =
        size -> read(Map.of("roles", "merge", "indexes.memory", size));
    assertThat(with.apply("0").heldBytes()).isZero();
    assertThat(with.apply("16MiB").heldBytes()).isEqualTo(16 << 20);
    String whole = Long.toString(Runtime.getRuntime().maxMemory());
    assertThatThrownBy(() -> with.apply(whole))
        .isInstanceOf(ConfigException.class)
        .hasMessageContaining("indexes.memory is " + whole + " bytes, but of a heap of " + whole)
        .hasMessageContaining("-Xmx");
    assertThatThrownBy(() -> with.apply("-1"))
        .isInstanceOf(ConfigException.class)
        .hasMessageContaining("indexes.memory is '-1'");
  }

  @Test
  void everyShardIsServedByExactlyOnePartition() {
    for (int partitions : List.of(1, 3, 8, 20)) {
      Map<Integer, List<Integer>> shards = ResponseQueries.shardsByPartition(11, partitions);
      assertThat(shards.values().stream().flatMap(List::stream).sorted().toList())
          .isEqualTo(IntStream.rangeClosed(1, 11).boxed().toList());
      shards.forEach(
          (partition, numbers) ->
              assertThat(numbers).allMatch(shard -> shard % partitions == partition));
    }
  }

  @Test
  void aQueryIsNamedByAllThatItsResultDependsOn() {
    String id = QueryId.of("r", "d", "i", "p", "f", "a", "l", "m", "x", 10, 50, true);
    assertThat(id)
        .hasSize(64)
        .isEqualTo(QueryId.of("r", "d", "i", "p", "f", "a", "l", "m", "x", 10, 50, true));
    assertThat(
            List.of(
                QueryId.of("r2", "d", "i", "p", "f", "a", "l", "m", "x", 10, 50, true),
                QueryId.of("r", "d2", "i", "p", "f", "a", "l", "m", "x", 10, 50, true),
                QueryId.of("r", "d", "i2", "p", "f", "a", "l", "m", "x", 10, 50, true),
                QueryId.of("r", "d", "i", "p2", "f", "a", "l", "m", "x", 10, 50, true),
                QueryId.of("r", "d", "i", "p", "f2", "a", "l", "m", "x", 10, 50, true),
                QueryId.of("r", "d", "i", "p", "f", "a2", "l", "m", "x", 10, 50, true),
                QueryId.of("r", "d", "i", "p", "f", "a", "l2", "m", "x", 10, 50, true),
                QueryId.of("r", "d", "i", "p", "f", "a", "l", "m2", "x", 10, 50, true),
                QueryId.of("rd", "", "i", "p", "f", "a", "l", "m", "x", 10, 50, true),
                QueryId.of("r", "d", "i", "p", "f", "a", "l", "m", "x2", 10, 50, true),
                QueryId.of("r", "d", "i", "p", "f", "a", "l", "m", "x", 11, 50, true),
                QueryId.of("r", "d", "i", "p", "f", "a", "l", "m", "x", 10, 51, true),
                QueryId.of("r", "d", "i", "p", "f", "a", "l", "m", "x", 10, 50, false)))
        .doesNotContain(id)
        .doesNotHaveDuplicates();
  }
}
