package dev.whence.cli;

import dev.whence.attribution.remote.RemoteOptions;
import dev.whence.attribution.remote.RemoteScorer;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.LocalScorer;
import dev.whence.engine.Scorer;
import dev.whence.engine.text.jinja.JinjaException;
import dev.whence.engine.text.jinja.JinjaTemplate;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.engine.weights.ModelText;
import dev.whence.files.FileProblem;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine.Option;

/** Which model computes, and how. */
final class ModelOptions {
  @Option(
      names = "--model",
      required = true,
      paramLabel = "M",
      description =
          "a Hugging Face directory, a GGUF file, or the name of a bundled model or of one in the"
              + " Hugging Face cache")
  private String model = "";

  @Option(
      names = "--dtype",
      defaultValue = "auto",
      paramLabel = "auto|bf16|fp32",
      description = "auto: bf16 where a timed matrix product is faster in it, else fp32")
  private String dtype = "auto";

  @Option(names = "--device", defaultValue = "auto", paramLabel = "auto|cpu|cuda:N")
  private String device = "auto";

  @Option(
      names = "--chat-template",
      paramLabel = "F",
      description = "a Jinja template to use instead of the model's own")
  private Optional<Path> chatTemplate = Optional.empty();

  @Option(
      names = "--alias",
      paramLabel = "NAME",
      description = "a production model name that this model is, rather than a surrogate for")
  private List<String> aliases = List.of();

  @Option(
      names = "--server",
      paramLabel = "URL",
      description =
          "an inference server that runs the model; M then gives tokenizer and chat template. Its"
              + " API key is taken from WHENCE_SERVER_API_KEY")
  private Optional<URI> server = Optional.empty();

  @Option(
      names = "--server-protocol",
      defaultValue = "sglang",
      paramLabel = "sglang|vllm|llama-cpp")
  private String serverProtocol = "sglang";

  @Option(
      names = "--server-model",
      paramLabel = "NAME",
      description = "name under which the server serves the model")
  private Optional<String> serverModel = Optional.empty();

  /** The model in this process, or behind a server if one is named. */
  Scorer openScorer() {
    if (server.isEmpty()) {
      return open();
    }
    List<String> names = new ArrayList<>(aliases);
    serverModel.ifPresent(names::add);
    RemoteOptions options;
    try {
      options =
          RemoteOptions.of(server.get(), RemoteOptions.Protocol.of(serverProtocol))
              .withAliases(names)
              // Whoever waits can end it; nothing else would be kept from its turn.
              .withPatience(Duration.ofMinutes(10), 4)
              .withPatience(new RemoteOptions.Patience(10, Duration.ofDays(1)));
    } catch (IllegalArgumentException e) {
      throw new UsageException(String.valueOf(e.getMessage()));
    }
    if (serverModel.isPresent()) {
      options = options.withModel(serverModel.get());
    }
    String key = System.getenv("WHENCE_SERVER_API_KEY");
    if (key != null && !key.isEmpty()) {
      options = options.withApiKey(key);
    }
    Optional<String> template = template();
    return RemoteScorer.open(ModelText.open(Models.resolve(model), template), options);
  }

  /** Loads the model; closing the scorer frees it. */
  LocalScorer open() {
    return open(model, template(), aliases);
  }

  /** Loads another model beside it, for the same device and in the same dtype. */
  LocalScorer open(String other) {
    return open(other, Optional.empty(), List.of());
  }

  private LocalScorer open(String name, Optional<String> template, List<String> ownAliases) {
    EngineOptions options;
    try {
      options =
          EngineOptions.defaults().withDtype(EngineOptions.Dtype.of(dtype)).withDevice(device);
    } catch (IllegalArgumentException e) {
      throw new UsageException(String.valueOf(e.getMessage()));
    }
    NativeEnd.prepare();
    ModelFiles files = ModelFiles.open(Models.resolve(name), template);
    List<String> names = new ArrayList<>(ownAliases);
    names.add(files.name());
    return LocalScorer.open(files, options.withAliases(names));
  }

  private Optional<String> template() {
    return chatTemplate.map(
        file -> {
          InputFile.checkStream("--chat-template", file);
          try {
            String template = Files.readString(file);
            JinjaTemplate.parse(template);
            return template;
          } catch (IOException e) {
            throw InputFile.unreadable("--chat-template", file, FileProblem.of(e, file));
          } catch (JinjaException e) {
            throw new UsageException(
                "--chat-template '" + file + "' is no template: " + e.getMessage());
          }
        });
  }
}
