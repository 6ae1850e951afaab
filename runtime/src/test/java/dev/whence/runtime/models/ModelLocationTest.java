package dev.whence.runtime.models;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.runtime.worker.EnvironmentException;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.reflect.Proxy;
import java.nio.file.ClosedFileSystemException;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelLocationTest {
  @TempDir Path directory;

  @Test
  void aLocationLiesUnderARootByItsNameItsPathOrItsUri() throws Exception {
    Path model = Files.createDirectories(directory.resolve("roots/a model"));
    Path root = directory.resolve("roots");
    for (String location :
        List.of("a model", model.toString(), model.toUri().toString(), "x/../a model")) {
      if (location.startsWith("x")) {
        Files.createDirectories(root.resolve("x"));
      }
      assertThat(ModelLocation.resolve(location, List.of(directory.resolve("none"), root)))
          .isEqualTo(model.toRealPath());
    }
  }

  @Test
  void whatIsOutsideOrReachedByALinkOrOfAStoreThatNobodyReadsIsRefused() throws Exception {
    Path root = Files.createDirectories(directory.resolve("roots"));
    Path outside = Files.createDirectories(directory.resolve("outside"));
    Files.createSymbolicLink(root.resolve("link"), outside);
    for (String location : List.of("../outside", outside.toString(), "link", "nowhere")) {
      assertThatThrownBy(() -> ModelLocation.resolve(location, List.of(root)))
          .isInstanceOf(ModelLoadException.class)
          .hasMessageContaining("is no existing file or directory under models.roots");
    }
    assertThatThrownBy(() -> ModelLocation.resolve("ftp://host/model", List.of(root)))
        .isInstanceOf(ModelLoadException.class)
        .hasMessageContaining("nothing here reads ftp://");
  }

  @Test
  void aRootThatCanNotBeReadHidesNoOtherAndIsToldOnlyIfNoOtherHasIt() throws Exception {
    Path endless =
        Files.createSymbolicLink(directory.resolve("endless"), directory.resolve("endless"));
    Path root = Files.createDirectories(directory.resolve("roots"));
    Path model = Files.createDirectories(root.resolve("model"));
    assertThat(ModelLocation.resolve("model", List.of(endless, root)))
        .isEqualTo(model.toRealPath());
    assertThatThrownBy(() -> ModelLocation.resolve("none", List.of(endless, root)))
        .isInstanceOf(ModelLoadException.class)
        .hasMessageContaining("can not be read");
  }

  /** A root whose store answers nothing that is asked of it. */
  private Path silent() {
    return (Path)
        Proxy.newProxyInstance(
            getClass().getClassLoader(),
            new Class<?>[] {Path.class},
            (proxy, method, arguments) ->
                switch (method.getName()) {
                  case "toRealPath" -> throw new IOException("no answer");
                  case "resolve" -> proxy;
                  default -> method.invoke(directory, arguments);
                });
  }

  @Test
  void aStoreThatDoesNotAnswerSaysNothingAgainstTheRelease() throws Exception {
    Path endless =
        Files.createSymbolicLink(directory.resolve("endless"), directory.resolve("endless"));
    Path root = Files.createDirectories(directory.resolve("roots"));
    Path model = Files.createDirectories(root.resolve("model"));
    assertThat(ModelLocation.resolve("model", List.of(silent(), root)))
        .isEqualTo(model.toRealPath());
    assertThatThrownBy(() -> ModelLocation.resolve("none", List.of(endless, silent(), root)))
        .isInstanceOf(EnvironmentException.class)
        .hasMessageContaining("can not be read now")
        .hasMessageNotContaining("none");
  }

  @Test
  void aStoreIsNotAskedForWhatIsOutsideOfItsRoot() throws Exception {
    Path root;
    try (FileSystem store =
        FileSystems.newFileSystem(directory.resolve("store.zip"), Map.of("create", "true"))) {
      root = Files.createDirectories(store.getPath("/models"));
      Files.createDirectories(store.getPath("/models/model"));
      assertThat(ModelLocation.resolve("x/../model", List.of(root)))
          .isEqualTo(root.resolve("model"));
    }
    // A store that is closed fails when it is asked.
    assertThatThrownBy(() -> ModelLocation.resolve("model", List.of(root)))
        .isInstanceOf(ClosedFileSystemException.class);
    assertThatThrownBy(() -> ModelLocation.resolve("../outside", List.of(root)))
        .isInstanceOf(ModelLoadException.class)
        .hasMessageContaining("is no existing file or directory under models.roots");
  }

  @Test
  void credentialsInAnAddressAreRefusedAndNeverRepeated() {
    String canary = "canary-secret";
    for (String location :
        List.of(
            "s3://id:" + canary + "@bucket/model",
            "s3://" + canary + "@bucket/model",
            "s3://id:" + canary + "/with-a-slash@bucket/model",
            "s3://id:half/" + canary + "@bucket/model",
            "S3://id:" + canary + "@bucket/model",
            "file://id:" + canary + "@host/a b",
            "s3://id:" + canary + "@bucket/\0")) {
      assertThatThrownBy(() -> ModelLocation.resolve(location, List.of(directory)))
          .isInstanceOf(ModelLoadException.class)
          .satisfies(
              thrown -> {
                StringWriter all = new StringWriter();
                thrown.printStackTrace(new PrintWriter(all));
                assertThat(all.toString()).doesNotContain(canary);
              });
    }
    assertThatThrownBy(() -> ModelLocation.path("s3://id:" + canary + "@bucket/model"))
        .hasMessage("a bucket's address takes no credentials");
  }
}
