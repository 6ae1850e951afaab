package dev.whence.engine.weights;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.engine.EngineException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NamedModelsTest {
  @TempDir private Path home = Path.of("");

  private Path cached(Path cache) throws IOException {
    Path model = cache.resolve("models--acme--base");
    Files.createDirectories(model.resolve("refs"));
    Files.writeString(model.resolve("refs/main"), "c0ffee");
    return Files.createDirectories(model.resolve("snapshots/c0ffee"));
  }

  private NamedModels models(Map<String, String> environment) {
    return new NamedModels(
        name -> name.equals("chat-v1") ? Optional.of(home.resolve("bundled")) : Optional.empty(),
        environment);
  }

  @Test
  void aNameOfTheLauncherIsItsModelUnlessAPathIsCalledSo() throws Exception {
    assertThat(models(Map.of()).resolve("chat-v1")).isEqualTo(home.resolve("bundled"));
    Path path = Files.createDirectory(home.resolve("chat-v1"));
    assertThat(models(Map.of()).resolve(path.toString())).isEqualTo(path);
    assertThatThrownBy(() -> models(Map.of()).resolve("chat-v2"))
        .isInstanceOf(EngineException.class)
        .hasMessageContaining("there is no model 'chat-v2'");
    assertThatThrownBy(() -> models(Map.of()).resolve("no\0path"))
        .isInstanceOf(EngineException.class);
  }

  @Test
  void cachesAreWhereTheLibrariesHaveThemTheNearestFirst() throws Exception {
    Path byHome = cached(home.resolve(".cache/huggingface/hub"));
    assertThat(models(Map.of("HOME", home.toString())).resolve("acme/base")).isEqualTo(byHome);
    Path byHfHome = cached(home.resolve("hf/hub"));
    Map<String, String> two =
        Map.of("HOME", home.toString(), "HF_HOME", home.resolve("hf").toString());
    assertThat(models(two).resolve("acme/base")).isEqualTo(byHfHome);
    Path byCache = cached(home.resolve("cache"));
    Map<String, String> three =
        Map.of(
            "HOME",
            home.toString(),
            "HF_HOME",
            " ",
            "HF_HUB_CACHE",
            home.resolve("cache").toString());
    assertThat(models(three).resolve("acme/base")).isEqualTo(byCache);
  }

  @Test
  void aRefThatIsNoCommitIsTheModelsFault() throws Exception {
    Path ref = cached(home.resolve("hub")).getParent().resolveSibling("refs/main");
    Map<String, String> environment = Map.of("HF_HUB_CACHE", home.resolve("hub").toString());
    for (byte[] damaged : List.of(new byte[] {'a', 0, 'b'}, new byte[] {(byte) 0xff, 'b'})) {
      Files.write(ref, damaged);
      assertThatThrownBy(() -> models(environment).resolve("acme/base"))
          .isInstanceOfSatisfying(
              EngineException.class,
              e -> assertThat(e.kind()).isEqualTo(EngineException.Kind.MODEL));
    }
  }
}
