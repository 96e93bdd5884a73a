// A browser starts no worker for a page that is opened as a file, and the search runs in one. There, and
// only there, the worker's script runs in a hidden frame instead.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.onmessage = this.onerror = this.onmessageerror = null
      const address = new URL(url, document.baseURI).href
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      this.frame.srcdoc = "<!doctype html><title>search</title>"
      this.ready = new Promise(resolve => {
        this.frame.addEventListener("load", () => {
          const inner = this.frame.contentWindow
          inner.postMessage = data => this.receive("message", { data: structuredClone(data) })
          const script = inner.document.createElement("script")
          script.addEventListener("load", () => resolve(inner))
          script.addEventListener("error", () => this.receive("error", {}))
          script.src = address
          inner.document.head.append(script)
        }, { once: true })
      })
      document.documentElement.append(this.frame)
    }

    receive(type, values) {
      const event = type === "message" ? new MessageEvent(type, values) : new Event(type)
      this.dispatchEvent(event)
      this["on" + type]?.(event)
    }

    postMessage(data) {
      const copy = structuredClone(data)
      this.ready.then(inner => inner.dispatchEvent(new inner.MessageEvent("message", { data: copy })))
    }

    terminate() {
      this.frame.remove()
    }
  }
}
