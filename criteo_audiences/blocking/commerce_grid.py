"""Commerce Grid without `await`: one line a method, which is typed and explained where its async one is."""

from criteo_audiences import commerce_grid as api
from criteo_audiences.blocking.twins import Service, blocking, blocking_upload


class CommerceGrid(Service):
    """Criteo's Commerce Grid; reached as `client.commerce_grid`."""

    create_audience_segments = blocking(api.CommerceGrid.create_audience_segments)
    update_audience_segments = blocking(api.CommerceGrid.update_audience_segments)
    delete_audience_segments = blocking(api.CommerceGrid.delete_audience_segments)
    search_audience_segments = blocking(api.CommerceGrid.search_audience_segments)
    ensure_contact_list = blocking(api.CommerceGrid.ensure_contact_list)
    amend_contact_list = blocking(api.CommerceGrid.amend_contact_list)
    clear_contact_list = blocking(api.CommerceGrid.clear_contact_list)
    get_contact_list_statistics = blocking(api.CommerceGrid.get_contact_list_statistics)
    upload_contact_list = blocking_upload(api.CommerceGrid.upload_contact_list)
    stream_contact_list = blocking(api.CommerceGrid.stream_contact_list)
    mirror_contact_list = blocking(api.CommerceGrid.mirror_contact_list)
    replace_contact_list = blocking(api.CommerceGrid.replace_contact_list)
    get_application = blocking(api.CommerceGrid.get_application)
