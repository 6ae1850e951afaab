package dev.whence.attribution.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.engine.EngineOptions;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;

class LocalModelLoaderTest {
  /** The file is not even looked for, and the model in use does not make room. */
  @Test
  void anUnknownDtypeIsRefusedBeforeAnythingIsOpened() {
    AtomicBoolean madeRoom = new AtomicBoolean();
    ModelLoader.Choice choice =
        new ModelLoader.Choice(
            Path.of("no-such-model"),
            Optional.empty(),
            Optional.of("fp16"),
            List.of(),
            Optional.empty());
    assertThatThrownBy(
            () ->
                new LocalModelLoader(EngineOptions.defaults())
                    .load(choice, () -> madeRoom.set(true)))
        .hasMessageContaining("dtype is none of bf16, fp32");
    assertThat(madeRoom).isFalse();
  }
}
